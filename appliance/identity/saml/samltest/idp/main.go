// Command idp runs the SAML identity provider of the tests for a browser. It
// prints one line of JSON with what a service provider has to know and runs
// until its standard input ends. PUT /services/NAME takes a service provider's
// metadata.
package main

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"nimbus/appliance/identity/saml/samltest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	server, err := samltest.StartServer("")
	if err != nil {
		return err
	}
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	err = json.NewEncoder(os.Stdout).Encode(map[string]string{"url": server.URL, "metadata_url": server.URL + "/metadata", "ca": string(ca)})
	if err == nil {
		_, err = io.Copy(io.Discard, os.Stdin)
	}
	return err
}
