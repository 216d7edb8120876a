package pulumi

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strings"
	"time"
)

// Errors that a caller may want to tell apart; test with errors.Is.
var (
	ErrStopped      = errors.New("the Pulumi engine is not running; start it first")
	ErrBusy         = errors.New("another operation on this stack is running; wait for it or cancel it")
	ErrLocked       = errors.New("the stack is locked by an operation that did not end properly; recover it first")
	ErrPending      = errors.New("an earlier operation was interrupted in the middle of a change; recover the stack first")
	ErrPassphrase   = errors.New("the passphrase does not open this stack's secrets")
	ErrNoStack      = errors.New("the stack has no state yet; run a preview or an update first")
	ErrProgram      = errors.New("the program is not valid")
	ErrPlanChanged  = errors.New("what would be done is no longer what was approved; preview and approve again")
	ErrCancelled    = errors.New("the operation was cancelled")
	ErrEngineFailed = errors.New("the Pulumi engine failed")
)

// Run names a stack and says with what an operation runs on it.
type Run struct {
	Project string // lower case, as in a file name
	Stack   string // likewise
	// Program is a Pulumi YAML document. Destroy, Refresh and the calls that
	// only read state do without.
	Program []byte
	// Config are the program's configuration values by their names in its
	// config section. They are handed to the program in memory.
	Config map[string]ConfigValue
	// Tags are added to every machine and container that the program makes, as
	// the mark by which its owner knows it.
	Tags []string
	// Passphrase opens the stack's secrets.
	Passphrase string
	// Env are the provider's settings: PROXMOX_VE_*, SSL_CERT_FILE, SSL_CERT_DIR
	// and the proxy variables. Anything else is refused.
	Env map[string]string
	// Refresh asks the provider for the real state first (drift).
	Refresh bool
	// Destroy makes Preview show what Destroy would do.
	Destroy bool
	// Targets are the URNs that Destroy is limited to; none means all.
	Targets []string
	// ExpectDigest, when set, makes Up and Destroy refuse with ErrPlanChanged
	// unless what they would do is what Preview gave this digest to.
	ExpectDigest string
}

// ConfigValue is one configuration value: a string, number, bool, list or map
// as JSON has them.
type ConfigValue struct {
	Value  any  `json:"value"`
	Secret bool `json:"secret,omitempty"`
}

// text gives the value as Pulumi's configuration has it: strings as they are,
// everything else as JSON.
func (v ConfigValue) text() (string, error) {
	if s, ok := v.Value.(string); ok {
		return s, nil
	}
	data, err := json.Marshal(v.Value)
	return string(data), err
}

// Result is what came of an operation.
type Result struct {
	Plan        Plan              `json:"plan"` // what is to be done (Preview) or was done
	Outputs     map[string]Output `json:"outputs,omitempty"`
	Diagnostics []Diagnostic      `json:"diagnostics,omitempty"`
	Failed      []Failure         `json:"failed,omitempty"`
	Started     time.Time         `json:"started"`
	Duration    time.Duration     `json:"duration"`
}

// Output is one stack output. Value is nil when it is secret and the call was
// not asked to open it.
type Output struct {
	Value  any  `json:"value"`
	Secret bool `json:"secret,omitempty"`
}

// Failure is a resource whose change failed.
type Failure struct {
	URN     string `json:"urn"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Op      Op     `json:"op"`
	Message string `json:"message"`
}

// Error is the failure of an operation. It wraps one of the Err values.
type Error struct {
	Op       string    // preview, up, …
	Kind     error     // one of the Err values
	Failures []Failure // resources that failed, in order
	Message  string    // what the engine or the program said
}

// Error names the resources that failed and what was said about each.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Op, e.Kind)
	for _, f := range e.Failures {
		fmt.Fprintf(&b, "; %s %s: %s", f.Op, f.Name, f.Message)
	}
	if len(e.Failures) == 0 && e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

// Unwrap gives the kind.
func (e *Error) Unwrap() error { return e.Kind }

var namePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9_.-]{0,99}$`)

var tagPattern = regexp.MustCompile(`^[a-z0-9_][a-z0-9_+.-]{0,123}$`)

var envAllowed = regexp.MustCompile(`^(PROXMOX_VE_[A-Z0-9_]+|SSL_CERT_FILE|SSL_CERT_DIR|HTTPS?_PROXY|NO_PROXY)$`)

// check refuses names that could be more than a name, and an environment that
// could reach more than the provider.
func (r *Run) check() error {
	for what, name := range map[string]string{"project": r.Project, "stack": r.Stack} {
		if !namePattern.MatchString(name) {
			return fmt.Errorf("the %s name %q is not usable: give lower-case letters, digits, '-', '_' and '.', beginning with a letter or digit", what, name)
		}
	}
	if r.Passphrase == "" {
		return fmt.Errorf("%w: none was given", ErrPassphrase)
	}
	for name, value := range r.Env {
		if !envAllowed.MatchString(name) || strings.ContainsRune(value, 0) {
			return fmt.Errorf("the environment variable %q is not passed to the provider; use PROXMOX_VE_* and SSL_CERT_FILE", name)
		}
	}
	for _, tag := range r.Tags {
		if !tagPattern.MatchString(tag) {
			return fmt.Errorf("the tag %q is not usable: give lower-case letters, digits, '-', '_', '+' and '.'", tag)
		}
	}
	for key, v := range r.Config {
		if _, err := v.text(); err != nil || strings.Contains(key, ":") {
			return fmt.Errorf("the configuration value %q is not usable: give a plain name and a JSON value", key)
		}
	}
	return nil
}

// key names the stack in maps and messages.
func (r *Run) key() string { return r.Project + "/" + r.Stack }

// qualified is the name the file backend gives a stack.
func (r *Run) qualified() string { return "organization/" + r.key() }

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
