package firstrun

import (
	"cmp"
	"context"

	"nimbus/appliance/fault"
	"nimbus/appliance/provider"
	"nimbus/appliance/provider/proxmox"
)

// Proxmox is the answer to the fifth step. All but Mode belongs to mode real.
type Proxmox struct {
	Mode        string `json:"mode" enum:"real,simulated,later" yaml:"mode"`
	Name        string `json:"name,omitempty" yaml:"name"`
	URL         string `json:"url,omitempty" yaml:"url"`
	TokenID     string `json:"token_id,omitempty" yaml:"token_id"`
	TokenSecret string `json:"token_secret,omitempty" yaml:"token_secret"`
	Fingerprint string `json:"fingerprint,omitempty" yaml:"fingerprint"`
	CAPEM       string `json:"ca_pem,omitempty" yaml:"ca_pem"`
}

func (p Proxmox) connection() provider.NewConnection {
	return provider.NewConnection{
		Name: cmp.Or(p.Name, "Proxmox"), URL: p.URL, TokenID: p.TokenID, Secret: p.TokenSecret,
		Fingerprint: p.Fingerprint, CAPEM: p.CAPEM,
	}
}

// Commands are the lines to type on a node for a token with the rights needed.
func Commands() []string { return proxmox.Commands("nimbus") }

// TestProxmox tries a cluster. What does not work is in the result. Faults:
// Invalid, and Conflict before the organisation exists.
func (s *Setup) TestProxmox(ctx context.Context, in Proxmox) (provider.TestResult, error) {
	if in.Mode != modeReal {
		return provider.TestResult{OK: true, Message: "There is nothing to test.", Privileges: []provider.Privilege{}}, nil
	}
	st, services, err := s.organised(ctx)
	if err != nil {
		return provider.TestResult{}, err
	}
	return services.Provider.Test(as(ctx, st.Organisation.TenantID), in.connection())
}

// SetProxmox connects the first tenant to a cluster, when its test succeeds. A
// cluster that does not work is a result and nothing is kept. Faults: Invalid,
// and Conflict when a cluster was connected already.
func (s *Setup) SetProxmox(ctx context.Context, in Proxmox) (provider.TestResult, error) {
	s.steps.Lock()
	defer s.steps.Unlock()
	st, services, err := s.organised(ctx)
	if err != nil {
		return provider.TestResult{}, err
	}
	if c := st.Proxmox; c != nil && c.Result != nil {
		if c.Mode == in.Mode && (in.Mode != modeReal || in.URL == c.URL) {
			return *c.Result, nil
		}
		return provider.TestResult{}, fault.New(fault.Conflict, "The cluster %s is connected already. More are added, and this one removed, under Connections after the set-up.", c.Name)
	}
	ctx = as(ctx, st.Organisation.TenantID)
	switch in.Mode {
	case modeLater:
		_, err := s.change(ctx, func(st *state) { st.Proxmox = &cluster{Mode: modeLater} })
		return provider.TestResult{OK: true, Message: "Connect a cluster later, under Connections.", Privileges: []provider.Privilege{}}, err
	case modeSimulated:
		n, err := s.cfg.StartSimulated(ctx)
		if err != nil {
			return provider.TestResult{}, err
		}
		return s.connect(ctx, services, in.Mode, n)
	case modeReal:
		return s.connect(ctx, services, in.Mode, in.connection())
	}
	return provider.TestResult{}, fault.BadField("body.mode", "The cluster is real, simulated, or connected later.")
}

func (s *Setup) connect(ctx context.Context, services Services, mode string, n provider.NewConnection) (provider.TestResult, error) {
	result, err := services.Provider.Test(ctx, n)
	if err != nil || !result.OK {
		return result, err
	}
	if err := services.connectOnce(ctx, n); err != nil {
		return provider.TestResult{}, err
	}
	_, err = s.change(ctx, func(st *state) {
		st.Proxmox = &cluster{Mode: mode, Name: n.Name, URL: n.URL, TokenID: n.TokenID, Result: &result}
	})
	return result, err
}

// connectOnce makes the connection unless a try that was interrupted made it.
func (v Services) connectOnce(ctx context.Context, n provider.NewConnection) error {
	have, err := v.Provider.Connections(ctx)
	if err != nil {
		return err
	}
	for _, c := range have {
		if c.Name == n.Name && c.TokenID == n.TokenID && c.Simulated == n.Simulated {
			return nil
		}
	}
	_, err = v.Provider.Create(ctx, n)
	return err
}

// organised returns the services once the organisation exists.
func (s *Setup) organised(ctx context.Context) (state, Services, error) {
	st, err := s.load(ctx)
	if err != nil {
		return st, Services{}, err
	}
	if err := needs(st.Organisation != nil && st.Organisation.Done, "the organisation and its administrator"); err != nil {
		return st, Services{}, err
	}
	services, err := s.services(ctx)
	return st, services, err
}
