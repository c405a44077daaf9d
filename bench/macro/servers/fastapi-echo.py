# The echo call as a FastAPI server under uvicorn, one process.
# Started by other-servers.ts as `python3 fastapi-echo.py PORT`. Promises: parses the MCP call as JSON and answers with JSON, as one would write it.
import sys

import uvicorn
from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/mcp")
async def echo(request: Request) -> dict:
    call = await request.json()
    content = [{"type": "text", "text": call["params"]["arguments"]["text"]}]
    return {"jsonrpc": "2.0", "id": call["id"], "result": {"content": content, "resultType": "complete"}}


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False)
