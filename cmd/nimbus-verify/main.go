// Command nimbus-verify checks an export or an archive segment of Nimbus's audit
// trail on a machine without the appliance. It needs the file and the public
// key, nothing else.
//
// Exit codes: 0 everything holds; 1 the file could not be read; 2 the command
// line is wrong; 5 the file does not hold, and the reasons are on standard error.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nimbus/appliance/audit/ledger"
)

const (
	exitHolds  = 0
	exitFailed = 1
	exitUsage  = 2
	exitBroken = 5
)

const usage = `nimbus-verify checks an export of Nimbus's audit trail with the public key alone.

  nimbus-verify --key KEY [--checkpoints FILE|FOLDER] EXPORT...
  nimbus-verify --key KEY --csv TABLE.csv PROOF

EXPORT is a file of the format nimbus-audit/1, plain or compressed with zstd: an
export as JSON Lines or an archive segment. A table in CSV is checked against
its proof. "-" reads the standard input.

`

const usageEnd = `
Exit codes: 0 everything holds, 1 a file could not be read, 2 the command line
is wrong, 5 something does not hold.
`

// request is what the command line asks for.
type request struct {
	keys        ledger.Keys
	checkpoints []string
	table       string
	files       []string
	output      string
}

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, problems io.Writer) int {
	r, err := parse(args, problems)
	if errors.Is(err, flag.ErrHelp) {
		return exitHolds
	}
	if err != nil {
		fmt.Fprintln(problems, "nimbus-verify:", err)
		return exitUsage
	}
	code := exitHolds
	for _, file := range r.files {
		report, err := r.check(file, in)
		if err != nil {
			fmt.Fprintf(problems, "nimbus-verify: %s: %v\n", file, err)
			code = max(code, exitFailed)
		}
		if err == nil || !report.OK() {
			r.print(out, problems, file, report)
		}
		if !report.OK() {
			code = exitBroken
		}
	}
	return code
}

func parse(args []string, problems io.Writer) (request, error) {
	var r request
	var keys, checkpoints list
	f := flag.NewFlagSet("nimbus-verify", flag.ContinueOnError)
	f.SetOutput(problems)
	f.Usage = func() {
		fmt.Fprint(problems, usage)
		f.PrintDefaults()
		fmt.Fprint(problems, usageEnd)
	}
	f.Var(&keys, "key", "`KEY` that must have signed: a line of \"nimbus audit key\", or a file with such lines or a public key in PEM; may be repeated")
	f.Var(&checkpoints, "checkpoints", "`FILE|FOLDER` of checkpoints that were published; each of this chain must fit; may be repeated")
	f.StringVar(&r.table, "csv", "", "`TABLE` in CSV that the proof is of")
	f.StringVar(&r.output, "o", "text", "text or json")
	if err := f.Parse(args); err != nil {
		return r, err
	}
	r.files = f.Args()
	for _, k := range keys {
		more, err := readKeys(k)
		if err != nil {
			return r, err
		}
		r.keys = append(r.keys, more...)
	}
	for _, c := range checkpoints {
		more, err := readCheckpoints(c)
		if err != nil {
			return r, err
		}
		r.checkpoints = append(r.checkpoints, more...)
	}
	return r, r.complete()
}

func (r request) complete() error {
	switch {
	case len(r.keys) == 0:
		return errors.New("give the public key with --key; `nimbus audit key` prints it on the appliance")
	case len(r.files) == 0:
		return errors.New("name the export to check; --help tells more")
	case r.table != "" && len(r.files) != 1:
		return errors.New("a table has one proof: name one file")
	case r.output != "text" && r.output != "json":
		return fmt.Errorf("-o is text or json, not %q", r.output)
	}
	return nil
}

type list []string

// String implements flag.Value.
func (l *list) String() string { return strings.Join(*l, " ") }

// Set implements flag.Value.
func (l *list) Set(text string) error {
	*l = append(*l, text)
	return nil
}

// readKeys takes a key itself, or a file of keys.
func readKeys(text string) (ledger.Keys, error) {
	content, err := os.ReadFile(text)
	if err != nil {
		key, notKey := ledger.ParseKey(text)
		if notKey != nil {
			return nil, fmt.Errorf("--key %s is neither a file nor a key: %w", text, notKey)
		}
		return ledger.Keys{key}, nil
	}
	keys, err := ledger.ParseKeys(string(content))
	if err == nil && len(keys) == 0 {
		err = errors.New("there is no key in it")
	}
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", text, err)
	}
	return keys, nil
}

// readCheckpoints reads a file, or every file of a folder.
func readCheckpoints(path string) ([]string, error) {
	var all []string
	err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(file)
		all = append(all, ledger.SplitNotes(string(content))...)
		return err
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("there is no checkpoint in %s", path)
	}
	return all, err
}

func (r request) check(file string, stdin io.Reader) (ledger.Report, error) {
	in, done, err := open(file, stdin)
	if err != nil {
		return ledger.Report{}, err
	}
	defer done()
	o := ledger.Options{Checkpoints: r.checkpoints}
	if r.table == "" {
		return ledger.VerifyStream(in, r.keys, o)
	}
	table, tableDone, err := open(r.table, stdin)
	if err != nil {
		return ledger.Report{}, err
	}
	defer tableDone()
	return ledger.VerifyCSV(table, in, r.keys, o)
}

func open(file string, stdin io.Reader) (io.Reader, func(), error) {
	source := io.NopCloser(stdin)
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, nil, err
		}
		source = f
	}
	plain, err := ledger.Plain(source)
	if err != nil {
		source.Close()
		return nil, nil, err
	}
	return plain, func() { plain.Close(); source.Close() }, nil
}

// print tells what was found, and on problems why a file does not hold.
func (r request) print(out, problems io.Writer, file string, report ledger.Report) {
	tellBreaks(problems, file, report)
	if r.output == "json" {
		_ = json.NewEncoder(out).Encode(struct {
			File string `json:"file"`
			OK   bool   `json:"ok"`
			Root string `json:"root"`
			ledger.Report
		}{file, report.OK(), fmt.Sprintf("%x", report.Root), report})
		return
	}
	h := report.Header
	verdict := "holds"
	if !report.OK() {
		verdict = "DOES NOT HOLD"
	}
	fmt.Fprintf(out, "%s: %s\n", file, verdict)
	if h.Origin != "" {
		fmt.Fprintf(out, "  chain        %s\n  records      %d of %d to %d, %d left out, %d in the chain then\n", h.Origin, report.Records, h.From, h.To, report.Skipped, h.Size)
	}
	if k := report.Checkpoint.Key; k.Algorithm != "" {
		fmt.Fprintf(out, "  signed by    %s, SHA-256 %s\n", k.Algorithm, k.Fingerprint())
	}
	fmt.Fprintf(out, "  root         %x\n", report.Root)
	if len(r.checkpoints) > 0 {
		fmt.Fprintf(out, "  checkpoints  %d fit, %d of other chains\n", report.Compared, report.Others)
	} else if report.OK() {
		fmt.Fprintln(out, "  checkpoints  none given: a rewrite by whoever can sign is found with one that was published before, --checkpoints")
	}
}

func tellBreaks(problems io.Writer, file string, report ledger.Report) {
	for _, b := range report.Breaks {
		where := "file"
		if b.Sequence > 0 {
			where = fmt.Sprintf("record %d", b.Sequence)
		}
		fmt.Fprintf(problems, "nimbus-verify: %s: %s: %s: %s\n", file, where, b.Kind, b.Detail)
	}
	if report.More > 0 {
		fmt.Fprintf(problems, "nimbus-verify: %s: and %d more\n", file, report.More)
	}
}
