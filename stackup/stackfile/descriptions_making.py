"""What the attributes of builds, hooks, develop, deploy and health checks are for (see ``descriptions``)."""

# ruff: noqa: E501

from __future__ import annotations

TEXT = r"""
[a build]
context | Directory or URL of the sources. | . | ./web ; https://github.com/acme/app.git
dockerfile | Dockerfile, below the context. | Dockerfile | Dockerfile.dev
dockerfile_inline | The Dockerfile itself. | | "FROM alpine\nRUN apk add curl\n"
entitlements | Privileges of the build. | |
args | Values for ARG. | | {VERSION: "1.2"} ; [VERSION=1.2]
provenance | Attest how it was built. | |
sbom | Attest what is inside. | |
ssh | SSH agent or keys for RUN --mount=type=ssh. | | default ; [key=~/.ssh/id]
labels | Labels of the image. | |
cache_from | Where to take cached steps from. | | [type=registry,ref=acme/app:cache]
cache_to | Where to keep cached steps. | |
no_cache | Build every step anew. | false |
no_cache_filter | Stages to build anew. | |
additional_contexts | Further contexts by name. | | {assets: ./assets}
pull | Pull base images even where they are there. | false |
extra_hosts | Lines for /etc/hosts while building. | |
isolation | Isolation technology, on Windows. | |
network | Network while building. | default | none ; host
target | Stage to build. | the last | dev
secrets | Secrets for RUN --mount=type=secret. | | [npm_token]
shm_size | Size of /dev/shm while building. | 64m |
tags | Further names of the image. | | [acme/app:dev]
ulimits | Limits of processes while building. | |
platforms | Platforms to build for. | the host's | [linux/amd64]
privileged | Build with all privileges. | false |

[a hook]
command | The command. | the image's, for pre_start | [./migrate.sh]
user | User to run it as. | the service's |
privileged | With all privileges. | false |
working_dir | Directory to run it in. | the service's |
environment | Further environment variables. | |
image | Image to run it in (pre_start). | the service's |
per_replica | Run it before each container and not once (pre_start). | false |

[develop]
watch | Rules: what to do when something below a path changes. | |

[a watch rule]
path | What to watch. | | ./src
action | What to do. | |
target | Path in the container, for the sync actions. | | /app/src
exec | What to run in the container after a sync. | |
include | Only these, as patterns. | | ["*.py"]
ignore | Not these, as patterns. | | [node_modules/]
initial_sync | Synchronise once at the beginning. | false |

[a watch command]
command | The command. | |
user | User to run it as. | |
privileged | With all privileges. | false |
working_dir | Directory to run it in. | |
environment | Further environment variables. | |

[deploy]
mode | replicated, global, or their job forms. | replicated |
endpoint_mode | vip or dnsrr. | |
replicas | Number of containers. | 1 | 3
labels | Labels of the service, not of its containers. | |
update_config | How to replace containers when the service changes. | |
rollback_config | How to go back. | |
resources | Limits and reservations. | |
restart_policy | When and how to restart; beats restart. | |
placement | Where to run in a cluster. | |

[update_config]
parallelism | How many at a time; 0 is all. | 1 |
delay | Pause between them. | 0s | 10s
failure_action | continue, pause or rollback. | pause |
monitor | How long to watch each for failure. | 5s |
max_failure_ratio | Share that may fail. | 0 |
order | Stop the old one first, or start the new one first. | stop-first |

[rollback_config]
parallelism | How many at a time; 0 is all. | 1 |
delay | Pause between them. | 0s |
failure_action | continue or pause. | pause |
monitor | How long to watch each for failure. | 5s |
max_failure_ratio | Share that may fail. | 0 |
order | Stop the old one first, or start the new one first. | stop-first |

[resources]
limits | At most. | |
reservations | At least. | |

[limits]
cpus | Number of processors. | all | 0.5
memory | Memory. | unlimited | 512M
pids | Number of processes. | unlimited | 100

[reservations]
cpus | Number of processors. | | 0.25
memory | Memory. | | 128M
generic_resources | Resources of a cluster by kind. | |
devices | Devices by what they can do. | | [{capabilities: [gpu], count: 1}]

[a generic resource]
discrete_resource_spec | Kind and number. | |

[a discrete resource]
kind | The kind. | |
value | How many. | |

[restart_policy]
condition | none, on-failure or any. | any |
delay | Pause before a restart. | 0s | 5s
max_attempts | Restarts at most. | unlimited | 3
window | How long a container must run to count as started. | 0s | 2m

[placement]
constraints | Rules that nodes must fulfil. | |
preferences | How to spread over nodes. | |
max_replicas_per_node | Containers per node at most. | |

[a preference]
spread | Label to spread over. | |

[a healthcheck]
test | The command: a text for a shell, or a list that begins with CMD, CMD-SHELL or NONE. | the image's | curl -f http://localhost ; [CMD, pg_isready]
interval | Time between two checks. | 30s | 10s
timeout | Time for one check. | 30s | 5s
retries | Failures in a row that make it unhealthy. | 3 |
start_period | Time in which failures do not count. | 0s | 20s
start_interval | Time between checks in the start period. | 5s | 1s
disable | No check, whatever the image says. | false |
"""
