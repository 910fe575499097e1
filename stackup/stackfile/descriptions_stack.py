"""What the attributes at the top of a file, of its resources and of x-stackup are for (see ``descriptions``)."""

# ruff: noqa: E501

from __future__ import annotations

TEXT = r"""
[a stack file]
version | Obsolete and ignored. | |
name | Name of the project; containers, networks and volumes begin with it. | the directory's name | shop
include | Other stack files whose services and resources become part of this one. | | [db/compose.yaml]
services | The containers to run, by name. | |
networks | Networks that services share, by name. | |
volumes | Storage that outlives containers, by name. | |
secrets | Sensitive files that services are given, by name. | |
configs | Configuration files that services are given, by name. | |
models | AI models that services are given the address of, by name. | |
x-stackup | stackup's own additions; other tools skip them. | |

[an include]
path | The file, or several files that are merged. | | db/compose.yaml
env_file | Environment files for its variables, instead of the .env beside it. | .env beside the file | db/.env
project_directory | What its relative paths start from. | the directory of the file | db

[a network]
name | The name on the machine. | PROJECT_KEY |
driver | The driver. | bridge |
driver_opts | Options of the driver. | |
ipam | Addresses. | |
external | Made elsewhere; must exist. | false |
internal | No way to other networks and out. | false |
attachable | Others may join; always so here. | false |
enable_ipv4 | Give IPv4 addresses. | true |
enable_ipv6 | Give IPv6 addresses. | false |
labels | Labels. | |

[ipam]
driver | The address manager. | default |
config | Address pools. | | [{subnet: 10.5.0.0/24}]
options | Options of the address manager. | |

[an address pool]
subnet | The network's addresses. | a free one | 10.5.0.0/24
gateway | The bridge's address. | the first | 10.5.0.1
ip_range | Part to give addresses from. | all | 10.5.0.128/25
aux_addresses | Addresses never to give. | | {router: 10.5.0.2}

[a volume]
name | The name on the machine. | PROJECT_KEY |
driver | The driver. | local |
driver_opts | Options: type, device and o, as mount takes them. | | {type: none, o: bind, device: /srv/data}
external | Made elsewhere; must exist. | false |
labels | Labels. | |

[a secret]
name | Name in a cluster. | PROJECT_KEY |
environment | Variable that holds the content. | | DB_PASSWORD
file | File that holds the content. | | ./db_password.txt
external | Made elsewhere. | false |
labels | Labels. | |
driver | Driver of a cluster. | |
driver_opts | Its options. | |
template_driver | How to fill in templates. | |

[a config]
name | Name in a cluster. | PROJECT_KEY |
content | The content itself. | | "user = {{USER}}\n"
environment | Variable that holds the content. | | APP_CONFIG
file | File that holds the content. | | ./nginx.conf
external | Made elsewhere. | false |
labels | Labels. | |
driver | Driver of a cluster. | |
driver_opts | Its options. | |
template_driver | How to fill in templates. | |

[a model]
name | The name on the machine. | PROJECT_KEY |
model | The model, as an OCI artefact. | | ai/smollm2
context_size | Tokens of context at most. | | 4096
runtime_flags | Flags for the inference engine. | |

[x-stackup of a service]
ready | Tells readiness from outside of the container: nothing is needed in the image. | | {tcp: 5432} ; {http: {port: 8080, path: /healthz}}
restart_when | Restart a container that runs but is unhealthy. | | unhealthy
backoff | Pauses between restarts. | | {delay: 1s, factor: 1.5, maximum: 30s}
success_exit_codes | Exit codes that count as success, beside 0. | [0] | [0, 143]
schedule | Runs the service at times instead of always. | | "*/5 * * * *" ; {cron: "0 3 * * *", timezone: Europe/Berlin}

[a readiness rule]
tcp | Ready when the port accepts a connection. | | 5432
http | Ready when a request is answered well. | | 8080 ; {port: 8080, path: /healthz, status: [200]}
log | Ready when a line of output matches the regular expression. | | "ready to accept connections"
file | Ready when the file exists in the container. | | /run/app.ready
exec | Ready when the command ends with 0 in the container. | | pg_isready -U postgres
interval | Time between two probes. | 1s | 500ms
timeout | Time for one probe. | 5s |
start_period | Time in which failures do not count. | 0s | 20s
retries | Failures in a row that make it unhealthy. | 30 |

[a tcp probe]
port | The port in the container. | | 5432

[an http probe]
port | The port in the container. | 80 | 8080
path | The path, with a query if need be. | / | /healthz
scheme | http or https (certificates are not checked). | http |
status | Answers that count. | any of 200 to 399 | [200, 204]
headers | Headers of the request. | | {Host: example.com}

[a log probe]
pattern | Regular expression (Python's). | | "listening on .*:\\d+"
times | How many lines must match. | 1 | 2

[a file probe]
path | The file, from the container's root. | | /run/app.ready

[a backoff]
delay | Pause before the first restart. | 100ms | 1s
factor | Every further pause is that many times the one before. | 2 | 1.5
maximum | Longest pause. | 60s | 30s
window | After running that long the pauses begin anew. | 10s | 1m

[a schedule]
cron | When: minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly. | | "0 3 * * *"
every | Every so often, instead of cron. | | 15m
timezone | Time zone of cron. | UTC | Europe/Berlin
overlap | When it is time and the last run is not over: skip this time, wait for it, or kill it. | skip |
history | Finished runs to keep. | 10 | 50

[x-stackup]
allow | What stackup refuses unless it is allowed here: mounts of docker.sock. | | [docker.sock]
"""
