package cmd

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nimbus/appliance"
	"nimbus/appliance/audit"
	"nimbus/appliance/audit/ledger"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

func checkOutput(format string) error {
	if format != "table" && format != "json" {
		return fault.New(fault.Invalid, "-o is table or json, not %q.", format)
	}
	return nil
}

// printJSON prints for programs.
func printJSON(c *cobra.Command, v any) error {
	out := json.NewEncoder(c.OutOrStdout())
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}

func verdict(ok bool) string {
	if ok {
		return "holds"
	}
	return "IS BROKEN"
}

func (v verifiedFile) print(c *cobra.Command) {
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s: %s\n", v.File, verdict(v.OK))
	fmt.Fprintf(out, "  chain    %s\n  records  %d, %d left out\n  root     %s\n", v.Header.Origin, v.Records, v.Skipped, v.Root)
	printBreaks(out, v.Breaks)
}

func printBreaks[B ledger.Break | audit.Break](out io.Writer, breaks []B) {
	for _, b := range breaks {
		one := ledger.Break(b)
		if one.Sequence == 0 {
			fmt.Fprintf(out, "  %s: %s\n", one.Kind, one.Detail)
			continue
		}
		fmt.Fprintf(out, "  record %d: %s: %s\n", one.Sequence, one.Kind, one.Detail)
	}
}

// chainNames are what people call the chains.
func chainNames(ctx context.Context, core *appliance.Core) (map[id.ID]string, error) {
	names := map[id.ID]string{{}: "provider"}
	chains, err := core.Audit.Chains(ctx)
	if err != nil {
		return nil, err
	}
	tenants, err := core.Tenants.Named(ctx, chains[1:]) // the first one is the provider's
	for _, t := range tenants {
		names[t.ID] = "tenant " + t.Name
	}
	return names, err
}

// verifiedChain is what was found in one chain.
type verifiedChain struct {
	Chain             string        `json:"chain"` // provider, or the tenant's id
	Name              string        `json:"name"`
	OK                bool          `json:"ok"`
	Records           int64         `json:"records"`
	First             int64         `json:"first"`
	Last              int64         `json:"last"`
	Head              string        `json:"head"`
	Root              string        `json:"root"`
	Checkpoints       int64         `json:"checkpoints"`
	CheckpointsFailed int64         `json:"checkpoints_failed"`
	Breaks            []audit.Break `json:"breaks"`
	DurationMS        int64         `json:"duration_ms"`
}

func chainOf(v audit.Verification, names map[id.ID]string) verifiedChain {
	chain, name := "provider", names[v.Tenant]
	if !v.Tenant.IsZero() {
		chain = v.Tenant.String()
	}
	if name == "" {
		name = "tenant " + chain
	}
	return verifiedChain{
		Chain: chain, Name: name, OK: v.OK(), Records: v.Checked, First: v.First, Last: v.Last,
		Head: hex.EncodeToString(v.Head[:]), Root: hex.EncodeToString(v.Root[:]),
		Checkpoints: v.Checkpoints, CheckpointsFailed: v.CheckpointsFailed,
		Breaks: append([]audit.Break{}, v.Breaks...), DurationMS: v.Duration.Milliseconds(),
	}
}

// print tells what was found, and ends with errBroken when that is bad.
func (f verifyFlags) print(c *cobra.Command, found []audit.Verification, names map[id.ID]string) error {
	all, broken := []verifiedChain{}, 0
	for _, v := range found {
		one := chainOf(v, names)
		all = append(all, one)
		if !one.OK {
			broken++
		}
		if f.output == "table" {
			one.print(c.OutOrStdout())
		}
	}
	if f.output == "json" {
		if err := printJSON(c, all); err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("%w: %d of %d chains do not hold", errBroken, broken, len(all))
	}
	if f.output == "table" && len(f.checkpoints) == 0 {
		fmt.Fprintln(c.OutOrStdout(), "\nWhoever has the database and the key could have rewritten a chain as a whole. That is found with\ncheckpoints that were published to another machine: --checkpoints FILE.")
	}
	return nil
}

func (v verifiedChain) print(out io.Writer) {
	fmt.Fprintf(out, "%s: %s\n", v.Name, verdict(v.OK))
	if v.Records == 0 {
		fmt.Fprintln(out, "  there are no records yet")
	} else {
		took := time.Duration(v.DurationMS) * time.Millisecond
		fmt.Fprintf(out, "  records      %d, from %d to %d, in %s\n", v.Records, v.First, v.Last, took)
		fmt.Fprintf(out, "  checkpoints  %d compared, %d do not fit\n", v.Checkpoints, v.CheckpointsFailed)
		fmt.Fprintf(out, "  root         %s\n", v.Root)
	}
	printBreaks(out, v.Breaks)
}

// printedKey is a key for programs.
type printedKey struct {
	Origin      string    `json:"origin"`
	VKey        string    `json:"vkey"`
	Algorithm   string    `json:"algorithm"`
	Kind        string    `json:"kind"`
	Label       string    `json:"label"`
	Fingerprint string    `json:"sha256"`
	PEM         string    `json:"pem"`
	CreatedAt   time.Time `json:"created_at"`
}

func printKeys(c *cobra.Command, keys []audit.NamedKey, output string, asPEM bool) error {
	out, seen, all := c.OutOrStdout(), map[string]bool{}, []printedKey{}
	for _, k := range keys {
		all = append(all, printedKey{k.Name, k.Text, string(k.Algorithm), k.Kind, k.Label, k.Fingerprint(), k.PEM(), k.CreatedAt.UTC()})
		switch {
		case output == "json":
		case !asPEM:
			fmt.Fprintf(out, "# %s, %s %s, since %s\n%s\n", k.Algorithm, k.Kind, k.Label, k.CreatedAt.UTC().Format(time.DateOnly), k.Text)
		case !seen[k.Fingerprint()]:
			fmt.Fprint(out, k.PEM())
		}
		seen[k.Fingerprint()] = true
	}
	if output == "json" {
		return printJSON(c, all)
	}
	return nil
}

// printedCheckpoint is a checkpoint for programs.
type printedCheckpoint struct {
	Chain     string    `json:"chain"`
	Size      int64     `json:"size"`
	Root      string    `json:"root"`
	KeyKind   string    `json:"key_kind"`
	CreatedAt time.Time `json:"created_at"`
	Note      string    `json:"note"`
}

func printCheckpoints(c *cobra.Command, made []audit.Checkpoint, output string) error {
	all := []printedCheckpoint{}
	for _, m := range made {
		signed, err := ledger.ReadCheckpoint(m.Note)
		if err != nil {
			return err
		}
		all = append(all, printedCheckpoint{signed.Origin, m.Size, hex.EncodeToString(m.Root[:]), m.KeyKind, m.CreatedAt.UTC(), m.Note})
		if output == "table" {
			fmt.Fprintln(c.OutOrStdout(), m.Note)
		}
	}
	if output == "json" {
		return printJSON(c, all)
	}
	return nil
}
