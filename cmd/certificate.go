package cmd

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance/doctor/certificate"
	"nimbus/appliance/fault"
)

func certificateCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "certificate", Short: "The certificate of the HTTPS port"}
	cmd.AddCommand(certificateShow(), certificateSet(), certificateACME(), certificateSelfSigned())
	return cmd
}

func certificateShow() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "show", Short: "Show the certificate in use, and why it was not renewed", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return sendCertificate(c, http.MethodGet, nil, output) },
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func certificateSet() *cobra.Command {
	var cert, key string
	cmd := &cobra.Command{
		Use:   "set --cert <file> --key <file>",
		Short: "Use an own certificate",
		Long: "Use a certificate from somewhere else, at once and without a restart. The file holds the server's certificate\n" +
			"first, then those above it. It must name the host of the appliance's address; the key must have no passphrase.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			certPEM, err := os.ReadFile(cert)
			if err != nil {
				return fault.Wrap(fault.Invalid, err, "The certificate cannot be read")
			}
			keyPEM, err := os.ReadFile(key)
			if err != nil {
				return fault.Wrap(fault.Invalid, err, "The key cannot be read")
			}
			return sendCertificate(c, http.MethodPut, map[string]any{"source": certificate.Own, "certificate_pem": string(certPEM), "key_pem": string(keyPEM)}, "table")
		},
	}
	cmd.Flags().StringVar(&cert, "cert", "", "PEM file with the certificate and those above it")
	cmd.Flags().StringVar(&key, "key", "", "PEM file with its private key")
	cmd.MarkFlagsRequiredTogether("cert", "key")
	cmd.MarkFlagsOneRequired("cert")
	return cmd
}

func certificateACME() *cobra.Command {
	var a certificate.ACME
	var ca, challenge string
	cmd := &cobra.Command{
		Use:   "acme --domain <name> --directory <url>",
		Short: "Get the certificate from an authority by ACME, and renew it by itself",
		Long: "Ask a certificate authority that speaks ACME (RFC 8555), such as Let's Encrypt or an internal step-ca. It looks\n" +
			"whether the names lead here: with http-01 at port 80, with tls-alpn-01 at port 443. Forward that port to the\n" +
			"appliance's. When the authority gives none, the certificate in use stays.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if ca != "" {
				pem, err := os.ReadFile(ca)
				if err != nil {
					return fault.Wrap(fault.Invalid, err, "The certificates of the authority cannot be read")
				}
				a.CAPEM = string(pem)
			}
			a.Challenge = certificate.Challenge(challenge)
			return sendCertificate(c, http.MethodPut, map[string]any{"source": certificate.ByACME, "acme": a}, "table")
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&a.Directory, "directory", "https://acme-v02.api.letsencrypt.org/directory", "address of the authority's directory")
	flags.StringVar(&a.Email, "email", "", "where the authority writes to")
	flags.StringSliceVar(&a.Domains, "domain", nil, "name to ask for; may be given more than once")
	flags.StringVar(&challenge, "challenge", string(certificate.HTTP01), "http-01 or tls-alpn-01")
	flags.StringVar(&ca, "ca", "", "PEM file: whom to trust when the authority is an internal one")
	cmd.MarkFlagsOneRequired("domain")
	return cmd
}

func certificateSelfSigned() *cobra.Command {
	return &cobra.Command{
		Use: "self-signed", Short: "Make and use a new self-signed certificate", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return sendCertificate(c, http.MethodPut, map[string]any{"source": certificate.SelfSigned}, "table")
		},
	}
}

func sendCertificate(c *cobra.Command, method string, body any, output string) error {
	if output != "table" && output != "json" {
		return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
	}
	cfg, err := settings(c)
	if err != nil {
		return err
	}
	var info certificate.Info
	if err := askInto(c.Context(), cfg, method, "/v1/system/certificate", body, &info); err != nil {
		return err
	}
	if output == "json" {
		return json.NewEncoder(c.OutOrStdout()).Encode(info)
	}
	return printCertificate(c.OutOrStdout(), info)
}

func printCertificate(w io.Writer, i certificate.Info) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "Source\t%s\nNames\t%s\nIssuer\t%s\nValid\t%s to %s\nFingerprint\t%s\n", i.Source, strings.Join(i.Names, ", "), i.Issuer,
		i.NotBefore.Local().Format(time.DateTime), i.NotAfter.Local().Format(time.DateTime), i.Fingerprint)
	if i.RenewAt != nil {
		fmt.Fprintf(t, "Renewed\tfrom %s on, by %s\n", i.RenewAt.Local().Format(time.DateTime), i.ACME.Directory)
	}
	if i.LastError != "" {
		fmt.Fprintf(t, "Last error\t%s\n", i.LastError)
	}
	return t.Flush()
}
