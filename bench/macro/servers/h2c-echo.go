// The echo call as a Go server that speaks HTTP/2 without TLS, from the standard library alone.
// Compiled and started by other-servers.ts as `h2c-echo PORT`. Promises: parses the MCP call as JSON and answers with JSON, as one would write it.
package main

import (
	"encoding/json"
	"log"
	"net/http"
	"os"
)

type call struct {
	ID     json.RawMessage `json:"id"`
	Params struct {
		Arguments struct {
			Text string `json:"text"`
		} `json:"arguments"`
	} `json:"params"`
}

type content struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type result struct {
	Content    []content `json:"content"`
	ResultType string    `json:"resultType"`
}

type reply struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id"`
	Result  result          `json:"result"`
}

func echo(w http.ResponseWriter, r *http.Request) {
	var asked call
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	text := content{Type: "text", Text: asked.Params.Arguments.Text}
	_ = json.NewEncoder(w).Encode(reply{"2.0", asked.ID, result{[]content{text}, "complete"}})
}

func main() {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	http.HandleFunc("/mcp", echo)
	server := http.Server{Addr: "127.0.0.1:" + os.Args[1], Protocols: protocols}
	log.Fatal(server.ListenAndServe())
}
