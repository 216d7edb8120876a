// Package cli opens, shows and ends emergency sessions on the machine itself,
// for when nobody can sign in by the browser.
package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nimbus/appliance/actor"
	"nimbus/appliance/breakglass"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
)

// Opener gives the services over this machine's database, and what closes them
// again. It fails for whoever may not read the appliance's secrets.
type Opener func(ctx context.Context) (*breakglass.Service, *identity.Service, func(), error)

// Commands is `nimbus breakglass` with open, status and end.
func Commands(open func(ctx context.Context) (*breakglass.Service, *identity.Service, func(), error)) *cobra.Command {
	cmd := &cobra.Command{Use: "breakglass", Short: "Emergency sessions, from the machine itself"}
	cmd.AddCommand(openCommand(open), statusCommand(open), endCommand(open))
	return cmd
}

// with runs fn as somebody with a shell on the machine.
func with(c *cobra.Command, open Opener, fn func(ctx context.Context, s *breakglass.Service, people *identity.Service) error) error {
	ctx := actor.With(c.Context(), actor.AtConsole())
	s, people, done, err := open(ctx)
	if err != nil {
		return err
	}
	defer done()
	return fn(ctx, s, people)
}

func openCommand(open Opener) *cobra.Command {
	var ask breakglass.Ask
	cmd := &cobra.Command{
		Use:   "open",
		Short: "Raise the first approver's rights for a while",
		Long: "Two approvers prove who they are with e-mail address and password; the rights of the\n" +
			"first are raised in the tenant they sign in to. On a terminal it asks for them; otherwise it\n" +
			"reads four lines from standard input: address, password, address, password.",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return with(c, open, func(ctx context.Context, s *breakglass.Service, people *identity.Service) error {
				return openSession(ctx, c, s, people, ask)
			})
		},
	}
	cmd.Flags().StringVar(&ask.Reason, "reason", "", "why it is needed, for the audit trail")
	cmd.Flags().IntVar(&ask.Minutes, "minutes", 15, "for how long, 1 to 60")
	_ = cmd.MarkFlagRequired("reason") // fails for a flag that does not exist only
	return cmd
}

// approver is somebody who has proven who they are.
type approver struct {
	actor.Actor
	password string
}

func openSession(ctx context.Context, c *cobra.Command, s *breakglass.Service, people *identity.Service, ask breakglass.Ask) error {
	in := newPrompt(c.InOrStdin(), c.ErrOrStderr())
	var both [2]approver
	for i, ordinal := range []string{"First", "Second"} {
		a, err := in.approver(ctx, people, ordinal)
		if err != nil {
			return err
		}
		both[i] = a
	}
	if both[0].ID == both[1].ID {
		return fault.New(fault.Conflict, "Two different people have to approve.")
	}
	both[1].TenantID = both[0].TenantID
	ask.For = both[0].Actor
	r, err := s.Request(ctx, ask)
	if err != nil {
		return err
	}
	request := r.ID
	for _, a := range both {
		if r, err = s.Approve(actor.With(ctx, a.Actor), request, a.password); err != nil {
			return withdraw(ctx, s, request, err)
		}
	}
	fmt.Fprintf(c.OutOrStdout(), "Break-glass is open for %s until %s.\nEnd it with: nimbus breakglass end %s\n",
		r.User.Name, r.EndsAt.Local().Format(time.RFC3339), r.ID)
	return nil
}

// withdraw leaves no request behind that nobody will approve, even when the
// command was interrupted.
func withdraw(ctx context.Context, s *breakglass.Service, request id.ID, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := s.End(ctx, request); err != nil {
		return errors.Join(why, err)
	}
	return why
}

// prompt asks on a terminal, without showing passwords, or reads lines.
type prompt struct {
	lines    *bufio.Reader
	terminal int // file descriptor, or -1
	out      io.Writer
}

func newPrompt(in io.Reader, out io.Writer) *prompt {
	p := &prompt{lines: bufio.NewReader(in), terminal: -1, out: out}
	if f, ok := in.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.terminal = int(f.Fd())
	}
	return p
}

func (p *prompt) approver(ctx context.Context, people *identity.Service, ordinal string) (approver, error) {
	email, err := p.line(ordinal + " approver's e-mail address: ")
	if err != nil {
		return approver{}, err
	}
	password, err := p.secret(ordinal + " approver's password: ")
	if err != nil {
		return approver{}, err
	}
	a, err := people.VerifyCredentials(ctx, email, password, "console")
	return approver{a, password}, err
}

func (p *prompt) line(question string) (string, error) {
	if p.terminal >= 0 {
		fmt.Fprint(p.out, question)
	}
	text, err := p.lines.ReadString('\n')
	text = strings.TrimRight(text, "\r\n")
	if text == "" {
		return "", fault.Wrap(fault.Invalid, err, "Give four lines: address and password of each of the two approvers.")
	}
	return text, nil
}

func (p *prompt) secret(question string) (string, error) {
	if p.terminal < 0 {
		return p.line(question)
	}
	fmt.Fprint(p.out, question)
	typed, err := term.ReadPassword(p.terminal)
	fmt.Fprintln(p.out)
	return string(typed), err
}

func statusCommand(open Opener) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the key and the sessions and requests that are not over",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "table" && output != "json" {
				return fault.New(fault.Invalid, "-o is table or json, not %q.", output)
			}
			return with(c, open, func(ctx context.Context, s *breakglass.Service, _ *identity.Service) error {
				v, err := s.View(ctx)
				if err != nil {
					return err
				}
				return show(c.OutOrStdout(), v, output)
			})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return cmd
}

func show(out io.Writer, v breakglass.View, output string) error {
	if output == "json" {
		return json.NewEncoder(out).Encode(v)
	}
	fmt.Fprintf(out, "key: %s %s %s\n", v.HSM.State, v.HSM.KeyType, v.HSM.Reason)
	live := 0
	for _, r := range v.Requests {
		if r.Status != breakglass.Open && r.Status != breakglass.Pending {
			continue
		}
		live++
		ends := "not open yet"
		if r.EndsAt != nil {
			ends = "until " + r.EndsAt.Local().Format(time.RFC3339)
		}
		fmt.Fprintf(out, "%s  %s  %s  %s  %q  %d of %d approvals\n", r.ID, r.Status, r.User.Name, ends, r.Reason, len(r.Approvals), r.Needed)
	}
	if live == 0 {
		fmt.Fprintln(out, "Nothing is open and nothing is asked for.")
	}
	return nil
}

func endCommand(open Opener) *cobra.Command {
	return &cobra.Command{
		Use:   "end [id]",
		Short: "End the open session, or turn a request down",
		Long:  "Without an id it ends every session that is open.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return with(c, open, func(ctx context.Context, s *breakglass.Service, _ *identity.Service) error {
				ids, err := chosen(ctx, s, args)
				for _, request := range ids {
					if err != nil {
						return err
					}
					var r breakglass.Request
					if r, err = s.End(ctx, request); err == nil {
						fmt.Fprintf(c.OutOrStdout(), "%s of %s is %s.\n", r.ID, r.User.Name, r.Status)
					}
				}
				return err
			})
		},
	}
}

// chosen is the request that the arguments name, or every open one.
func chosen(ctx context.Context, s *breakglass.Service, args []string) ([]id.ID, error) {
	if len(args) == 1 {
		one, err := id.Parse(args[0])
		if err != nil {
			return nil, fault.New(fault.Invalid, "%v; `nimbus breakglass status` shows the ids.", err)
		}
		return []id.ID{one}, nil
	}
	v, err := s.View(ctx)
	var open []id.ID
	for _, r := range v.Requests {
		if r.Status == breakglass.Open {
			open = append(open, r.ID)
		}
	}
	if err == nil && len(open) == 0 {
		err = fault.New(fault.NotFound, "No break-glass session is open.")
	}
	return open, err
}
