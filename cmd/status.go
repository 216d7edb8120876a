package cmd

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/fault"
)

// statusCommand asks the appliance on this machine how it is.
func statusCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "status", Short: "Show how every part of the running appliance is", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := settings(c)
			if err != nil {
				return err
			}
			health, err := askHealth(cfg.Listen)
			if err != nil {
				return err
			}
			return printHealth(c, health, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

// askHealth reads /readyz over loopback. The certificate is not checked: it is
// this machine, and nothing secret is sent.
func askHealth(listen string) (appliance.Health, error) {
	var h appliance.Health
	_, port, err := net.SplitHostPort(listen)
	if err != nil {
		return h, fault.New(fault.Invalid, "listen is host:port, not %q.", listen)
	}
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}}
	resp, err := client.Get("https://" + net.JoinHostPort("127.0.0.1", port) + "/readyz")
	if err != nil {
		return h, fault.Wrap(fault.Unavailable, err, "No appliance answers on port %s of this machine", port)
	}
	defer resp.Body.Close()
	return h, json.NewDecoder(resp.Body).Decode(&h)
}

var errNotOK = errors.New("not everything is well")

func printHealth(c *cobra.Command, h appliance.Health, output string) error {
	switch output {
	case "json":
		if err := json.NewEncoder(c.OutOrStdout()).Encode(h); err != nil {
			return err
		}
	case "table":
		w := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintf(w, "Nimbus %s\t%s\tsince %s\n", h.Version, h.Status, h.StartedAt.Local().Format(time.DateTime))
		for _, p := range h.Components {
			fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Name, p.Status, p.Message)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	default:
		return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
	}
	if h.Phase != "" {
		return fault.New(fault.Unavailable, "Nobody can sign in yet: %s.", h.Phase)
	}
	if h.Status != "ok" {
		return errNotOK
	}
	return nil
}
