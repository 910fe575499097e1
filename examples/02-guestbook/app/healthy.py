"""Exit code 0 when the app answers, which means that postgres and redis answer it."""

import urllib.request

urllib.request.urlopen("http://127.0.0.1:8000/healthy", timeout=3).read()
