# fastmcp as a proxy, as its documentation says: one server of an mcpServers configuration on HTTP.
# Started by python-peers.ts as `python3 fastmcp-proxy.py PORT CONFIG`. Promises: nothing but what create_proxy() and run() do by themselves.
import json
import sys

from fastmcp.server import create_proxy

proxy = create_proxy(json.loads(sys.argv[2]), name="proxy")
proxy.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False)
