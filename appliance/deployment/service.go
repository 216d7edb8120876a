package deployment

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"nimbus/appliance/actor"
	"nimbus/appliance/approval"
	"nimbus/appliance/audit"
	"nimbus/appliance/db"
	"nimbus/appliance/event"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/permission"
	"nimbus/appliance/secret"
	"nimbus/appliance/tenancy"
)

// Migrations is the history of this domain's tables.
//
//go:embed migrations/*.sql
var Migrations embed.FS

// Config is what the service needs. Everything but Quota, Logger and Now is required.
type Config struct {
	DB    *db.DB
	Audit *audit.Service
	Check actor.Check
	// CheckOn is Check about one stack or run; conditions see resource.go's
	// attributes. AllowedOn is the same without a record, for lists, and
	// CheckSomewhere asks whether a list can hold anything at all.
	CheckOn        func(ctx context.Context, permission string, on permission.Resource) error
	AllowedOn      func(ctx context.Context, permission string, on permission.Resource) bool
	CheckSomewhere actor.Check
	// Compartment fails with fault.NotFound when the transaction's tenant has no
	// such compartment.
	Compartment func(ctx context.Context, compartment id.ID) error
	Events      *event.Bus
	Keyring     *secret.Keyring
	Approvals   *approval.Service
	// Policy is a tenant's approval policy.
	Policy func(ctx context.Context, tenant id.ID) (approval.Policy, error)
	// Connection is nil when the context's actor's tenant may use a connection,
	// else a fault.
	Connection func(ctx context.Context, connection id.ID) error
	// Environment is how the engine's provider reaches a connection:
	// PROXMOX_VE_ENDPOINT, PROXMOX_VE_API_TOKEN and what it trusts.
	Environment func(ctx context.Context, tenant, connection id.ID) (map[string]string, error)
	Engine      Engine
	Guests      Guests
	Workflows   Workflows
	// Quota makes sure that the tenant may have n more of a kind, in the
	// transaction that makes them.
	Quota  func(ctx context.Context, kind tenancy.QuotaKind, n int64) error
	Logger *slog.Logger
	Now    func() time.Time
}

// Service keeps stacks and runs deployments.
type Service struct {
	Config
	store     store
	templates []Template

	mu      sync.Mutex
	running map[id.ID]context.CancelCauseFunc // engine operations of this process by deployment
}

// New returns a service and has the approvals of deployments wake their
// workflows.
func New(cfg Config) (*Service, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	templates, err := readTemplates()
	if err != nil {
		return nil, err
	}
	s := &Service{Config: cfg, templates: templates, running: map[id.ID]context.CancelCauseFunc{}}
	cfg.Approvals.OnEnd(Subject, s.wake)
	cfg.Approvals.OnAsk(Subject, s.about)
	return s, nil
}

func (s *Service) now() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

// authorise returns the context's actor when it has the permission in a tenant.
func (s *Service) authorise(ctx context.Context, permission string) (actor.Actor, error) {
	a, err := acting(ctx)
	if err != nil {
		return a, err
	}
	return a, s.Check(ctx, permission)
}

// acting returns the context's actor when it acts in a tenant.
func acting(ctx context.Context) (actor.Actor, error) {
	a, err := actor.Require(ctx)
	if err == nil && a.TenantID.IsZero() {
		err = fault.New(fault.Forbidden, "Choose a tenant first.")
	}
	return a, err
}

// CreateStack stores a new stack; Name, Description, ConnectionID, Program and
// Config are taken from in. It returns fault.Invalid, fault.Conflict for a name
// that is taken, and fault.Forbidden.
func (s *Service) CreateStack(ctx context.Context, in Stack) (Stack, error) {
	a, err := acting(ctx)
	if err != nil {
		return Stack{}, err
	}
	in.Name = strings.TrimSpace(in.Name) // as it will be, for conditions
	if err := s.CheckOn(ctx, CreateStack, in.resource()); err != nil {
		return Stack{}, err
	}
	st, err := s.buildStack(ctx, a.TenantID, in, Stack{ID: id.New()})
	if err != nil {
		return Stack{}, err
	}
	st.Status, st.Version, st.CreatedAt, st.Outputs = StackEmpty, 1, st.UpdatedAt, map[string]any{}
	passphrase := make([]byte, 32)
	rand.Read(passphrase)
	st.passphrase, err = s.Keyring.Seal(ctx, a.TenantID, purpose(st.ID, "passphrase"), []byte(hex.EncodeToString(passphrase)))
	if err != nil {
		return Stack{}, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if s.Quota != nil {
			if err := s.Quota(ctx, tenancy.Stacks, 1); err != nil {
				return err
			}
		}
		if err := s.store.insertStack(ctx, st); err != nil {
			return err
		}
		return s.recordStack(ctx, st, "deployment.stack.created", nil, describeStack(st))
	})
	return masked(st), err
}

// CountStacks counts the stacks of the transaction's tenant.
func (s *Service) CountStacks(ctx context.Context) (int64, error) { return s.store.countStacks(ctx) }

// UpdateStack changes a stack whose version is in.Version. Secrets sent as Mask
// stay. It needs the permission for the stack as it is and as it will be. It
// returns fault.Conflict when the version is stale or a deployment is
// under way: what is approved must be what runs.
func (s *Service) UpdateStack(ctx context.Context, in Stack) (Stack, error) {
	a, old, err := s.stackFor(ctx, UpdateStack, in.ID)
	if err != nil {
		return Stack{}, err
	}
	in.Name = strings.TrimSpace(in.Name) // as it will be, for conditions
	if err := s.CheckOn(ctx, UpdateStack, in.resource()); err != nil {
		return Stack{}, err
	}
	if old.ConnectionID != in.ConnectionID && old.ResourceCount > 0 {
		return Stack{}, fault.BadField("body.connection_id", "Its resources are on the present connection. Destroy them first.")
	}
	st, err := s.buildStack(ctx, a.TenantID, in, old)
	if err != nil {
		return Stack{}, err
	}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.idle(ctx, st.ID); err != nil {
			return err
		}
		if err := s.store.updateStack(ctx, st, in.Version); err != nil {
			return err
		}
		return s.recordStack(ctx, st, "deployment.stack.updated", describeStack(old), describeStack(st))
	})
	st.Version = in.Version + 1
	return masked(st), err
}

// idle locks the stack and returns fault.Conflict while a deployment is under
// way.
func (s *Service) idle(ctx context.Context, stack id.ID) error {
	st, err := s.store.stack(ctx, stack, true)
	if err != nil {
		return err
	}
	if st.Status == StackBusy {
		return fault.New(fault.Conflict, "A deployment of this stack is under way. Wait for it or cancel it.")
	}
	return nil
}

// DeleteStack removes a stack that has no resources; its history stays. It
// returns fault.Conflict while there are resources or a deployment under way.
func (s *Service) DeleteStack(ctx context.Context, stack id.ID) error {
	a, _, err := s.stackFor(ctx, DeleteStack, stack)
	if err != nil {
		return err
	}
	return s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		if err := s.idle(ctx, stack); err != nil {
			return err
		}
		st, err := s.store.stack(ctx, stack, false)
		if err != nil {
			return err
		}
		if st.ResourceCount > 0 {
			return fault.New(fault.Conflict, "The stack still has %d resources. Destroy it first.", st.ResourceCount)
		}
		if err := s.store.deleteStack(ctx, stack); err != nil {
			return err
		}
		return s.recordStack(ctx, st, "deployment.stack.deleted", describeStack(st), nil)
	})
}

// Stack returns one stack with its secrets masked, or fault.NotFound.
func (s *Service) Stack(ctx context.Context, stack id.ID) (Stack, error) {
	_, st, err := s.stackFor(ctx, ReadStack, stack)
	return masked(st), err
}

// Stacks lists those of the tenant's stacks that the context's actor may read,
// newest first, older than before.
func (s *Service) Stacks(ctx context.Context, before id.ID, limit int) ([]Stack, error) {
	a, err := acting(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.CheckSomewhere(ctx, ReadStack); err != nil {
		return nil, err
	}
	all := []Stack{}
	err = s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		for {
			page, err := s.store.stacks(ctx, before, limit)
			if err != nil {
				return err
			}
			for _, st := range page {
				if before = st.ID; len(all) < limit && s.AllowedOn(ctx, ReadStack, st.resource()) {
					all = append(all, masked(st))
				}
			}
			if len(page) < limit || len(all) == limit {
				return nil
			}
		}
	})
	return all, err
}

func (s *Service) readStack(ctx context.Context, tenant, stack id.ID) (st Stack, err error) {
	err = s.DB.Tenant(ctx, tenant, func(ctx context.Context) error {
		st, err = s.store.stack(ctx, stack, false)
		return err
	})
	return st, err
}

// State is the stack's state as `pulumi stack export` gives it; its secrets are
// encrypted. The export is recorded. It returns fault.Conflict before the first
// deployment.
func (s *Service) State(ctx context.Context, stack id.ID) ([]byte, error) {
	a, st, err := s.stackFor(ctx, ExportStack, stack)
	if err != nil {
		return nil, err
	}
	if st.LastDeploymentID == nil {
		return nil, fault.New(fault.Conflict, "The stack has no state yet. Deploy it first.")
	}
	run, err := s.runOf(ctx, a.TenantID, st)
	if err != nil {
		return nil, err
	}
	state, err := s.Engine.Export(ctx, run)
	if err != nil {
		return nil, fault.Wrap(fault.Conflict, err, "The stack's state cannot be exported now. Try again after its next deployment.")
	}
	return state, s.DB.Tenant(ctx, a.TenantID, func(ctx context.Context) error {
		return s.recordStack(ctx, st, "deployment.stack.exported", nil, nil)
	})
}

// Validate checks a program without running it. No diagnostics of severity
// error mean that it can be previewed.
func (s *Service) Validate(ctx context.Context, text string) ([]Diagnostic, error) {
	if _, err := s.authorise(ctx, UpdateStack); err != nil {
		return nil, err
	}
	return s.diagnose(text, nil), nil
}

func (s *Service) diagnose(text string, config map[string]ConfigValue) []Diagnostic {
	found := s.Engine.Validate([]byte(text))
	if _, err := parseProgram(text, config); err != nil {
		found = append(found, diagnosticOf(err))
	}
	if found == nil {
		found = []Diagnostic{}
	}
	return found
}

// Schema is what an editor completes a program with.
func (s *Service) Schema(ctx context.Context) (Schema, error) {
	if _, err := s.authorise(ctx, ReadStack); err != nil {
		return Schema{}, err
	}
	return s.Engine.Schema()
}

// buildStack checks what a person entered and seals its secrets. onto is the
// stack as it is.
func (s *Service) buildStack(ctx context.Context, tenant id.ID, in, onto Stack) (Stack, error) {
	switch {
	case in.Name == "" || len(in.Name) > 100:
		return onto, fault.BadField("body.name", "Give the stack a name of at most 100 characters.")
	case len(in.Description) > 2000:
		return onto, fault.BadField("body.description", "A description has at most 2000 bytes.")
	case len(in.Program) > maxProgram:
		return onto, fault.BadField("body.program", "A program has at most %d KiB. Split it into several stacks.", maxProgram>>10)
	}
	if err := s.Connection(ctx, in.ConnectionID); err != nil {
		return onto, err
	}
	if err := s.placed(ctx, tenant, in.CompartmentID); err != nil {
		return onto, err
	}
	kept, err := s.openSecrets(ctx, tenant, onto)
	if err != nil {
		return onto, err
	}
	public, secrets, err := splitConfig(in.Config, kept)
	if err != nil {
		return onto, err
	}
	raw, err := json.Marshal(secrets)
	if err != nil {
		return onto, err
	}
	onto.Name, onto.Description, onto.ConnectionID, onto.Program = in.Name, in.Description, in.ConnectionID, in.Program
	onto.CompartmentID = in.CompartmentID
	onto.Config, onto.UpdatedAt = public, s.now()
	onto.secrets, err = s.Keyring.Seal(ctx, tenant, purpose(onto.ID, "config"), raw)
	return onto, err
}

// placed fails when the compartment of a stack is not one of the tenant's.
func (s *Service) placed(ctx context.Context, tenant, compartment id.ID) error {
	if compartment.IsZero() {
		return nil
	}
	err := s.DB.Tenant(ctx, tenant, func(ctx context.Context) error { return s.Compartment(ctx, compartment) })
	if fault.Is(err, fault.NotFound) {
		return fault.BadField("body.compartment_id", "This compartment does not exist. Choose another.")
	}
	return err
}

var configKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// splitConfig parts a configuration into what may be read and what is sealed.
// A secret sent as Mask is taken from those kept.
func splitConfig(in map[string]ConfigValue, kept map[string]any) (public map[string]ConfigValue, secrets map[string]any, err error) {
	public, secrets = map[string]ConfigValue{}, map[string]any{}
	for key, v := range in {
		if !configKey.MatchString(key) {
			return nil, nil, fault.BadField("body.config", "%q is not a name for a configuration value. Use letters, digits, - and _.", key)
		}
		if !v.Secret {
			public[key] = v
			continue
		}
		if v.Value == Mask {
			old, ok := kept[key]
			if !ok {
				return nil, nil, fault.BadField("body.config."+key, "Enter the secret value %q.", key)
			}
			v.Value = old
		}
		secrets[key], public[key] = v.Value, ConfigValue{Secret: true}
	}
	return public, secrets, nil
}

func (s *Service) openSecrets(ctx context.Context, tenant id.ID, st Stack) (map[string]any, error) {
	secrets := map[string]any{}
	if len(st.secrets) == 0 {
		return secrets, nil
	}
	raw, err := s.Keyring.Open(ctx, tenant, purpose(st.ID, "config"), st.secrets)
	if err != nil {
		return nil, err
	}
	return secrets, json.Unmarshal(raw, &secrets)
}

// purpose binds a sealed value to its stack.
func purpose(stack id.ID, part string) string { return "stack/" + stack.String() + "/" + part }

// masked is the stack as it is shown.
func masked(st Stack) Stack {
	shown := make(map[string]ConfigValue, len(st.Config))
	for key, v := range st.Config {
		if v.Secret {
			v.Value = Mask
		}
		shown[key] = v
	}
	st.Config = shown
	return st
}

// runOf is the engine's view of a stack with its secrets, as far as it needs no
// cluster: enough to read its state.
func (s *Service) runOf(ctx context.Context, tenant id.ID, st Stack) (Run, error) {
	passphrase, err := s.Keyring.Open(ctx, tenant, purpose(st.ID, "passphrase"), st.passphrase)
	if err != nil {
		return Run{}, err
	}
	secrets, err := s.openSecrets(ctx, tenant, st)
	if err != nil {
		return Run{}, err
	}
	config := map[string]ConfigValue{}
	for key, v := range st.Config {
		if v.Secret {
			v.Value = secrets[key]
		}
		config[key] = v
	}
	return Run{
		Project: "tenant-" + tenant.Hex(), Stack: "stack-" + st.ID.Hex(),
		Config: config, Passphrase: string(passphrase),
	}, nil
}

// describeStack is what the record keeps of a stack: neither its program, which
// may be large, nor its configuration's values.
func describeStack(st Stack) map[string]any {
	keys := make([]string, 0, len(st.Config))
	for key := range st.Config {
		keys = append(keys, key)
	}
	return map[string]any{
		"name": st.Name, "description": st.Description, "connection_id": st.ConnectionID.String(), "compartment_id": st.CompartmentID.String(),
		"program_sha256": sum(st.Program), "config_keys": sorted(keys), "version": st.Version,
	}
}

func (s *Service) recordStack(ctx context.Context, st Stack, name string, before, after any) error {
	err := s.Audit.Record(ctx, audit.Entry{
		Event: name, Before: before, After: after,
		Target: audit.Target{Kind: "stack", ID: st.ID.String(), Name: st.Name},
	})
	if err != nil {
		return err
	}
	a, _ := actor.From(ctx)
	return s.Events.Publish(ctx, event.Event{Type: "stack.updated", ID: st.ID, Tenant: a.TenantID, Permission: ReadStack, On: st.resource().On()},
		map[string]any{"id": st.ID, "name": st.Name})
}
