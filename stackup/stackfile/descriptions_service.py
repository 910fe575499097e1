"""What the attributes of a service and of its parts are for (see ``descriptions``)."""

# ruff: noqa: E501

from __future__ import annotations

TEXT = r"""
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
init | Run a small init as process 1 that reaps and forwards signals. Its /proc/1/fd stays closed: print to /dev/stdout. | false |
ipc | The IPC namespace: private, shareable, host, none, service:NAME or container:NAME. | private | host ; service:db
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
pid | The process namespace: host, service:NAME or container:NAME. | its own | host ; service:app
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
uts | The host-name namespace: host for that of the machine. | its own | host
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
"""
