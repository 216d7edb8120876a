package firstrun

import (
	"context"
	"net/mail"
	"strings"

	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/identity"
	"nimbus/appliance/permission"
	"nimbus/appliance/tenancy"
	"nimbus/appliance/web"
)

// Organisation is the answer to the fourth step.
type Organisation struct {
	ProviderName  string `json:"provider_name,omitempty" yaml:"provider_name"`
	TenantName    string `json:"tenant_name" yaml:"tenant_name"`
	AdminName     string `json:"admin_name" yaml:"admin_name"`
	AdminEmail    string `json:"admin_email" yaml:"admin_email"`
	AdminPassword string `json:"admin_password" yaml:"admin_password"`
}

// SetOrganisation starts everything and makes the root tenant, the first
// tenant and the first administrator. A try that was interrupted is gone on
// with. Faults: Invalid, and Conflict when it was done already.
func (s *Setup) SetOrganisation(ctx context.Context, in Organisation) (Step, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	o, err := checkOrganisation(in)
	if err != nil {
		return Step{}, err
	}
	st, err := s.load(ctx)
	if err != nil {
		return Step{}, err
	}
	if err := mayOrganise(st); err != nil {
		return Step{}, err
	}
	services, err := s.services(ctx)
	if err != nil {
		return Step{}, err
	}
	// From here on there is data, so database and HSM are fixed.
	if err := s.changeAndApply(ctx, func(st *state) { st.Organisation = &o }); err != nil {
		return Step{}, err
	}
	if o.TenantID, err = services.organise(ctx, in); err != nil {
		return Step{}, err
	}
	o.Done = true
	st, err = s.change(ctx, func(st *state) { st.Organisation = &o })
	return st.organisationStep(), err
}

func mayOrganise(st state) error {
	if st.Organisation != nil && st.Organisation.Done {
		return fault.New(fault.Conflict, "The organisation and its administrator exist already. Go on with the next step.")
	}
	if err := needs(st.Appliance != nil, "name and address of the appliance"); err != nil {
		return err
	}
	if err := needs(st.Database != nil && st.Database.Done, "the database"); err != nil {
		return err
	}
	return needs(st.HSM != nil && st.HSM.Done, "the hardware security module")
}

func checkOrganisation(in Organisation) (organisation, error) {
	o := organisation{Provider: strings.TrimSpace(in.ProviderName)}
	var err error
	if o.Provider != "" {
		if o.Provider, err = checkLine("body.provider_name", "the provider", o.Provider); err != nil {
			return o, err
		}
	}
	if o.Tenant, err = checkLine("body.tenant_name", "the first tenant", in.TenantName); err != nil {
		return o, err
	}
	if strings.EqualFold(o.Tenant, tenancy.RootName) {
		return o, fault.BadField("body.tenant_name", "%s is the name of the root tenant. Choose another.", tenancy.RootName)
	}
	if o.AdminName, err = checkLine("body.admin_name", "the administrator", in.AdminName); err != nil {
		return o, err
	}
	o.AdminEmail = strings.TrimSpace(in.AdminEmail)
	if address, err := mail.ParseAddress(o.AdminEmail); err != nil || address.Address != o.AdminEmail || len(o.AdminEmail) > 254 {
		return o, fault.BadField("body.admin_email", "%q is not an e-mail address.", o.AdminEmail)
	}
	if err := identity.ValidPassword(in.AdminPassword, o.AdminEmail); err != nil {
		return o, fault.BadField("body.admin_password", "%s", fault.Message(err))
	}
	return o, nil
}

// as returns a context in which the wizard acts in a tenant.
func as(ctx context.Context, tenant id.ID) context.Context {
	return actor.With(ctx, actor.Actor{
		Kind: actor.Setup, Name: "First-run wizard", TenantID: tenant,
		Address: web.RemoteAddress(ctx), RequestID: web.RequestID(ctx),
	})
}

// organise makes what is missing of the organisation and returns the first tenant.
func (v Services) organise(ctx context.Context, in Organisation) (id.ID, error) {
	root, err := v.Tenants.CreateRoot(as(ctx, id.ID{}))
	if err != nil {
		return id.ID{}, err
	}
	ctx = as(ctx, root.ID)
	tenant, err := v.firstTenant(ctx, strings.TrimSpace(in.TenantName))
	if err != nil {
		return id.ID{}, err
	}
	person := identity.NewUser{Name: strings.TrimSpace(in.AdminName), Email: strings.TrimSpace(in.AdminEmail), Password: in.AdminPassword}
	_, err = v.Identity.CreateFirst(ctx, person, root.ID, tenant.ID)
	if fault.Is(err, fault.Conflict) {
		err = v.finishFirst(ctx, person, root.ID, tenant.ID)
	}
	return tenant.ID, err
}

// firstTenant returns the tenant that an earlier try made, or makes it. Nobody
// else can have made one: there are no users yet.
func (v Services) firstTenant(ctx context.Context, name string) (tenancy.Tenant, error) {
	all, err := v.Tenants.List(ctx)
	if err != nil {
		return tenancy.Tenant{}, err
	}
	for _, t := range all {
		switch {
		case t.IsRoot:
		case t.Name == name:
			return t, nil
		default:
			return tenancy.Tenant{}, fault.BadField("body.tenant_name", "The tenant %q was made by an earlier try. Use this name; it can be changed later.", t.Name)
		}
	}
	return v.Tenants.Create(ctx, tenancy.Tenant{Name: name})
}

// finishFirst goes on with an administrator whose making was interrupted
// between the account and its roles. Only who knows the account's password may.
func (v Services) finishFirst(ctx context.Context, person identity.NewUser, root, tenant id.ID) error {
	other := fault.New(fault.Conflict, "An administrator was made by an earlier try. Enter the e-mail address and password that you gave then.")
	users, err := v.Identity.Users(ctx)
	if err != nil {
		return err
	}
	for _, u := range users {
		if !strings.EqualFold(u.Email, person.Email) {
			continue
		}
		self := actor.With(ctx, actor.Actor{Kind: actor.User, ID: u.ID, Name: u.Name, TenantID: root, Address: web.RemoteAddress(ctx)})
		if err := v.Identity.VerifyPassword(self, person.Password); err != nil {
			if fault.Is(err, fault.Unauthenticated) {
				return other
			}
			return err
		}
		return v.grant(ctx, u.ID, root, tenant)
	}
	return other
}

func (v Services) grant(ctx context.Context, user, root, tenant id.ID) error {
	err := v.Permissions.Assign(as(ctx, root), user, permission.SystemRoleID(root, permission.ProviderAdministrator))
	if err != nil {
		return err
	}
	return v.Permissions.Assign(as(ctx, tenant), user, permission.SystemRoleID(tenant, permission.TenantAdministrator))
}
