"""What each attribute is for, its default and examples: one text for the schema, the reference pages and ``explain``.

A block begins with the noun of a ``Record`` of the grammar in brackets. A line holds the attribute, what it does, the
default (empty: none) and examples as YAML, separated by `` | ``; examples are separated by `` ; ``.
"""

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

[a service]
annotations | Annotations of the container (OCI). | | {com.example.team: web}
attach | Whether an attached up shows its output. | true |
blkio_config | Limits for block devices. | |
build | How to make the image: the context's path, or details. | | . ; {context: ., dockerfile: Dockerfile.dev}
cap_add | Capabilities beyond the default ones. | | [NET_ADMIN]
cap_drop | Capabilities to take away. | | [ALL]
cgroup | The control group namespace: private or the host's. | private |
cgroup_parent | Control group to put the container in. | |
command | Replaces the image's command. A text is split into words, without a shell. | the image's CMD | [npm, start] ; npm start
configs | Configuration files to give the containers. | | [nginx_conf] ; [{source: nginx_conf, target: /etc/nginx/nginx.conf}]
container_name | The container's name; the service can then have one container only. | PROJECT-SERVICE-NUMBER |
cpu_count | Number of processors, on Windows. | |
cpu_percent | Share of the processors, on Windows. | |
cpu_period | Period of the scheduler's quota, in microseconds. | 100000 |
cpu_quota | Time in each period, in microseconds. | |
cpu_rt_period | Period of the real-time quota, in microseconds. | |
cpu_rt_runtime | Real-time budget in each period, in microseconds. | | 400ms
cpu_shares | Weight against other containers when processors are scarce. | 1024 |
cpus | Number of processors that it may use. | all | 0.5
cpuset | Processors that it may run on. | all | 0-3 ; 0,2
credential_spec | Managed service account, on Windows. | |
depends_on | Services to start first, and the state to wait for. | | [db] ; {db: {condition: service_healthy}}
deploy | Replicas, resources, restart policy and updates. | |
develop | What to do when source files change. | |
device_cgroup_rules | Rules for devices in the kernel's form. | | ['c 1:3 mr']
devices | Devices of the host to hand in. | | [/dev/ttyUSB0] ; ['/dev/sda:/dev/xvda:r']
dns | Name servers instead of the host's. | the host's | 1.1.1.1 ; [1.1.1.1, 9.9.9.9]
dns_opt | Options of the resolver. | | ['ndots:1']
dns_search | Domains to search for short names. | the host's | example.com
domainname | Domain part of the host name. | | example.com
entrypoint | Replaces the image's entrypoint; the image's command is dropped with it. | the image's ENTRYPOINT | [/docker-entrypoint.sh]
env_file | Files with environment variables; environment wins over them, later files over earlier ones. | | web.env ; [{path: web.env, required: false}]
environment | Environment variables. A name without a value takes the caller's. | | {DEBUG: "1"} ; ['DEBUG=1', TERM]
expose | Ports that other services reach; documentation only, as they reach all ports. | | ['3000']
extends | Service whose attributes this one starts from. | | base ; {file: common.yaml, service: base}
external_links | Links to containers of other projects. | |
extra_hosts | Lines for /etc/hosts. | | ['gw=10.0.0.1'] ; {gw: 10.0.0.1}
gpus | Graphics processors to hand in. | | all ; [{driver: nvidia, count: 1}]
group_add | Further groups of the process, by name or number. | | [audio, '1001']
healthcheck | How to find out whether the container is healthy. | the image's HEALTHCHECK | {test: curl -f http://localhost, interval: 10s}
hostname | Host name inside. | the container's id | web
image | The image to run. | PROJECT-SERVICE when built | nginx:1.27
init | Run a small init as process 1 that reaps and forwards signals. | false |
ipc | The IPC namespace: private, shareable, host, none or service:NAME. | private | host ; service:db
isolation | Isolation technology, on Windows. | |
label_file | Files with labels; labels wins over them. | | web.labels
labels | Labels of the containers. | | {com.example.tier: front} ; ['com.example.tier=front']
links | Services to reach under another name. | | ['db:database']
logging | What happens to the output. | the json-file driver |
mac_address | Hardware address of the container's interface. | | 02:42:ac:11:00:02
mem_limit | Memory at most. | unlimited | 512m
mem_reservation | Memory to keep when the machine runs out of it. | | 256m
mem_swappiness | How willingly memory is swapped, 0 to 100. | the host's |
memswap_limit | Memory and swap together at most; -1 is no limit. | twice mem_limit | 1g
models | AI models that the service uses. | | [llm]
network_mode | The network instead of stack networks: none, host, bridge, service:NAME or container:NAME. | | host ; service:vpn
networks | Networks that it joins. | [default] | [front, back] ; {front: {aliases: [www]}}
oom_kill_disable | Never kill it for lack of memory. | false |
oom_score_adj | How likely it is killed for lack of memory, -1000 to 1000. | 0 |
pid | The process namespace: private, host or service:NAME. | private | host ; service:app
pids_limit | Number of processes at most. | unlimited | 100
platform | Platform of the image. | the host's | linux/amd64
ports | Ports to publish on the host. | | ['8080:80'] ; ['127.0.0.1:5432:5432'] ; [{target: 80, published: "8080"}]
post_start | Commands to run in the container after it started. | |
pre_start | Commands to run before it starts, each in a container of its own. | |
pre_stop | Commands to run in the container before it is stopped. | |
privileged | All capabilities, all devices, no filters. | false |
profiles | Profiles that switch the service on; without any it is always on. | | [debug]
provider | A program that provides the service instead of containers. | | {type: awesomecloud}
pull_policy | When to pull the image. | missing | always ; never ; build ; every_12h
pull_refresh_after | Age from which an image is pulled again (pull_policy: refresh). | | 24h
read_only | Mount the root file system read-only. | false |
restart | When to restart a container that ended: no, always, on-failure[:TIMES] or unless-stopped. | no | unless-stopped ; on-failure:3
runtime | The OCI runtime. | stackup's own | crun
scale | Number of containers. | 1 | 3
secrets | Secrets to give the containers, as files in /run/secrets. | | [db_password] ; [{source: db_password, mode: 0400}]
security_opt | Security options: no-new-privileges, seccomp, apparmor, label. | | ['no-new-privileges:true']
shm_size | Size of /dev/shm. | 64m | 1g
stdin_open | Keep standard input open. | false |
stop_grace_period | Time between the stop signal and the kill. | 10s | 1m30s
stop_signal | The signal that asks to stop. | the image's STOPSIGNAL, else SIGTERM | SIGINT
storage_opt | Options of the storage driver. | | {size: 1G}
sysctls | Kernel parameters of the container's namespaces. | | {net.core.somaxconn: 1024}
tmpfs | Directories in memory. | | /run ; ['/run:size=64m,mode=0755']
tty | Give it a terminal. | false |
ulimits | Limits of processes. | the host's | {nofile: 1024} ; {nofile: {soft: 1024, hard: 4096}}
use_api_socket | Hand in the engine's socket and credentials. | false |
user | User and group of the process, by name or number. | the image's USER, else root | 1000:1000 ; nobody
userns_mode | The user namespace: host, or remapped. | host |
uts | The host-name namespace: private or host. | private | host
volumes | Volumes and host directories to mount. | | ['data:/var/lib/db'] ; ['./src:/app:ro'] ; [{type: tmpfs, target: /cache}]
volumes_from | Mount all volumes of other services. | | ['data:ro']
working_dir | Directory that the command starts in. | the image's WORKDIR | /app
x-stackup | stackup's own additions; other tools skip them. | | {ready: {tcp: 5432}} ; {schedule: "*/5 * * * *"}

[a dependency]
condition | What to wait for. | service_started |
restart | Restart this service when that one is restarted or recreated. | false |
required | Without it the service does not start; false: only a warning. | true |

[a network of a service]
aliases | Further names under which others find it there. | | [www]
interface_name | Name of the interface inside. | eth0, eth1 ... | eth0
ipv4_address | Fixed IPv4 address. | a free one | 10.5.0.5
ipv6_address | Fixed IPv6 address. | a free one |
link_local_ips | Further link-local addresses. | |
mac_address | Hardware address there. | |
driver_opts | Options for the driver. | |
priority | Order in which networks are joined, the highest first. | 0 |
gw_priority | The network with the highest one gives the default route. | 0 |

[a volume of a service]
type | What is mounted. | |
source | Directory of the host, name of a volume, or an image. | |
target | Path in the container. | | /data
read_only | No writing. | false |
consistency | Ignored on Linux. | |
bind | Options of a bind mount. | |
volume | Options of a volume. | |
tmpfs | Options of a directory in memory. | |
image | Options of a mounted image. | |

[bind]
propagation | Whether mounts made on one side appear on the other. | rprivate | rslave
create_host_path | Make a directory where the host has nothing. | true in the short form, false in the long one |
recursive | Whether mounts below are mounted too, and whether read_only covers them. | enabled |
selinux | Relabel the files: z shared, Z private. | |

[volume]
labels | Labels for a volume that is made for this mount. | |
nocopy | Do not fill an empty volume with the image's files. | false |
subpath | Directory of the volume to mount. | |

[tmpfs]
size | Size at most. | half of the memory | 64m
mode | Permission bits. | 01777 | 0755

[image]
subpath | Directory of the image to mount. | |

[an env file]
path | The file. | | web.env
required | Whether a missing file is an error. | true |
format | raw: what follows = is the value, quotes and all. | |

[extends]
service | The service to start from. | |
file | The file that holds it. | this file | common.yaml

[blkio_config]
weight | Weight against other containers, 10 to 1000. | 500 |
weight_device | Weight per device. | |
device_read_bps | Bytes read per second, per device. | |
device_read_iops | Reads per second, per device. | |
device_write_bps | Bytes written per second, per device. | |
device_write_iops | Writes per second, per device. | |

[a device limit]
path | The device. | | /dev/sda
rate | Bytes or operations per second. | | 12mb

[a device weight]
path | The device. | | /dev/sda
weight | Its weight, 10 to 1000. | |

[a device]
source | Path on the host. | | /dev/ttyUSB0
target | Path in the container. | the same |
permissions | r, w and m (mknod). | rwm |

[a model of a service]
endpoint_var | Variable that holds the address. | MODEL_URL |
model_var | Variable that holds the model's name. | MODEL_MODEL |

[logging]
driver | Where the output goes. | json-file | json-file ; local ; none
options | Options of the driver, such as max-size and max-file. | | {max-size: 10m, max-file: "3"}

[credential_spec]
config | A config with the specification. | |
file | A file with the specification. | |
registry | A registry key with the specification. | |

[a provider]
type | The program: compose-TYPE or a Docker plug-in. | | awesomecloud
options | What the program is given. | |

[a port]
target | Port in the container. | | 80
published | Port on the host, or a range to choose from. | a free one | "8080" ; "8000-8010"
protocol | tcp, udp or sctp. | tcp |
host_ip | Address of the host to listen on. | all | 127.0.0.1
mode | host or ingress. | ingress |
name | Name for people. | | web
app_protocol | Protocol for people and tools. | | http

[a secret of a service]
source | The secret. | |
target | Where it appears. | /run/secrets/SOURCE |
uid | Owner. | 0 |
gid | Group. | 0 |
mode | Permission bits. | 0444 | 0400

[a config of a service]
source | The config. | |
target | Where it appears. | /SOURCE | /etc/app.conf
uid | Owner. | 0 |
gid | Group. | 0 |
mode | Permission bits. | 0444 | 0440

[a ulimit]
soft | The limit that counts. | |
hard | How far a process may raise it. | |

[a device reservation]
capabilities | What the device must be able to do. | | [gpu]
driver | The driver. | | nvidia
count | How many; all by default. | all |
device_ids | Which ones. | | ["0"]
options | Options for the driver. | |

[a gpu request]
capabilities | What the device must be able to do. | |
driver | The driver. | | nvidia
count | How many. | all |
device_ids | Which ones. | | ["0"]
options | Options for the driver. | |

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
