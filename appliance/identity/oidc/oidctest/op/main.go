// Command op runs the OpenID Connect provider of the tests for a browser:
//
//	op REDIRECT_URI
//
// It prints one line of JSON with what a client has to know and runs until its
// standard input ends.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"nimbus/appliance/identity/oidc/oidctest"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: op REDIRECT_URI")
		os.Exit(2)
	}
	server := oidctest.StartOP(os.Args[1])
	defer server.Close()
	err := json.NewEncoder(os.Stdout).Encode(map[string]string{
		"issuer": server.URL, "ca": oidctest.CA(server), "client_id": oidctest.ClientID, "client_secret": oidctest.ClientSecret,
	})
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
