"""Exit code 0 when something accepts connections on this container's port."""

import socket
import sys

socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=2).close()
