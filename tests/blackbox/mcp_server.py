"""A server of the Model Context Protocol on standard input and output, that misbehaves when asked to."""

import json
import os
import sys
import time

SCHEMA = {"type": "object", "properties": {"text": {"type": "string"}}}
TOOLS = ["echo", "env", "crash", "hang", "huge", "fail", "garbage", "count"]
count = 0

for line in sys.stdin:
    message = json.loads(line)
    method, ident = message.get("method"), message.get("id")
    if ident is None:
        continue
    if method == "initialize":
        result = {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "scripted", "version": "1"},
        }
    elif method == "tools/list":
        result = {"tools": [{"name": name, "description": f"Does {name}.", "inputSchema": SCHEMA} for name in TOOLS]}
    elif method == "tools/call":
        name = message["params"]["name"]
        arguments = message["params"].get("arguments") or {}
        text = arguments.get("text", "")
        if name == "crash":
            os._exit(1)
        if name == "hang":
            time.sleep(3600)
        if name == "garbage":
            print("this is no message", flush=True)
        if name == "huge":
            text = "x" * 8_000_000
        if name == "env":
            text = os.environ.get(text, "")
        if name == "count":
            count += 1
            text = str(count)
        result = {"content": [{"type": "text", "text": text}], "isError": name == "fail"}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": ident, "error": {"code": -32601, "message": "no such method"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": ident, "result": result}), flush=True)
