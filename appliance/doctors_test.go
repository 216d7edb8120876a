package appliance_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"nimbus/appliance"
	"nimbus/appliance/appliancetest"
	"nimbus/appliance/doctor"
)

// TestDoctorThroughTheDoor examines a running appliance as an administrator of
// the provider, of a tenant, over the socket of the machine, and by scraping.
func TestDoctorThroughTheDoor(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	provider := s.SignIn(t, "ada@example.com", s.Root)
	tenant := s.SignIn(t, "ada@example.com", s.Tenant)
	for _, r := range []struct{ method, path string }{
		{http.MethodGet, "/v1/system/doctor"}, {http.MethodPost, "/v1/system/doctor/run"}, {http.MethodPost, "/v1/system/support-bundle"},
		{http.MethodGet, "/v1/system/workflows"}, {http.MethodGet, "/v1/system/workflows/x"}, {http.MethodGet, "/v1/system/schedules"},
		{http.MethodPost, "/v1/system/schedules/audit-checkpoint/pause"}, {http.MethodGet, "/v1/system/certificate"}, {http.MethodGet, "/v1/system/address"},
	} {
		tenant.Do(r.method, r.path, nil, http.StatusForbidden, nil)
	}
	var report doctor.Report
	provider.Do(http.MethodGet, "/v1/system/doctor", nil, http.StatusOK, &report)
	found := map[string]doctor.Item{}
	for _, i := range report.Items {
		found[i.Check] = i
	}
	for _, check := range []string{"disk.data", "memory", "clock", "certificate", "port", "postgres", "schema", "backup", "temporal",
		"workers", "valkey", "pulumi", "hsm", "audit.checkpoints", "audit.verified", "audit.pruning", "mail", "proxmox"} {
		if found[check].Summary == "" {
			t.Errorf("nothing is said about %s", check)
		}
	}
	for _, check := range []string{"port", "schema", "temporal", "workers", "valkey"} {
		if found[check].Status != doctor.OK {
			t.Errorf("%+v", found[check])
		}
	}
	s.schedules(provider)
	s.workflows(provider)
	s.scrapes(t, provider)
	s.overTheSocket(t)
	s.claims(t, provider)
	s.tokenActs(t, provider)
	s.moves(t, provider, tenant)
}

// moves changes name and address, and looks at the certificate.
func (s *story) moves(t *testing.T, provider, tenant *appliancetest.Client) {
	t.Helper()
	to := map[string]any{"name": "Nimbus at home", "url": "https://Nimbus.home.arpa:8443/"}
	tenant.Do(http.MethodPut, "/v1/system/address", to, http.StatusForbidden, nil)
	s.passkey()
	var before, checked, after appliance.Address
	provider.Do(http.MethodGet, "/v1/system/address", nil, http.StatusOK, &before)
	provider.Do(http.MethodPut, "/v1/system/address?check=true", to, http.StatusOK, &checked)
	if said := strings.Join(checked.Warnings, " "); checked.Passkeys != 1 || !strings.Contains(said, "certificate") || !strings.Contains(said, "1 passkeys") || !strings.Contains(said, "providers") {
		t.Errorf("%+v", checked)
	}
	var again appliance.Address
	provider.Do(http.MethodGet, "/v1/system/address", nil, http.StatusOK, &again)
	if again.URL != before.URL {
		t.Errorf("asking changed the address to %s", again.URL)
	}
	provider.Do(http.MethodPut, "/v1/system/address", to, http.StatusOK, nil)
	provider.Do(http.MethodGet, "/v1/system/address", nil, http.StatusOK, &after)
	if after.URL != "https://nimbus.home.arpa:8443" || after.Name != "Nimbus at home" {
		t.Errorf("%+v", after)
	}
	for _, bad := range []string{"http://x", "https://", "https://x/path", "https://u:p@x", "https://x?q=1", "nimbus"} {
		provider.Do(http.MethodPut, "/v1/system/address", map[string]any{"name": "N", "url": bad}, http.StatusBadRequest, nil)
	}
	var shown struct{ Source, Fingerprint string }
	provider.Do(http.MethodPut, "/v1/system/certificate", map[string]any{"source": "own", "certificate_pem": "x", "key_pem": "y"}, http.StatusBadRequest, nil)
	provider.Do(http.MethodPut, "/v1/system/certificate", map[string]any{"source": "self-signed"}, http.StatusOK, &shown)
	if shown.Source != "self-signed" || shown.Fingerprint != s.Front().Fingerprint() || s.Front().Certificate().VerifyHostname("nimbus.home.arpa") != nil {
		t.Errorf("%+v", shown)
	}
}

// schedules pauses, triggers and resumes one.
func (s *story) schedules(provider *appliancetest.Client) {
	s.t.Helper()
	const checkpoints = "/v1/system/schedules/audit-checkpoint/"
	paused := func() (found, paused bool) {
		var all struct{ Items []doctor.Scheduled }
		provider.Do(http.MethodGet, "/v1/system/schedules", nil, http.StatusOK, &all)
		for _, one := range all.Items {
			if one.ID == "audit-checkpoint" {
				return one.Workflow == "AuditCheckpointWorkflow" && one.Spec == "every 10m0s" && one.NextAt != nil || one.Paused, one.Paused
			}
		}
		return false, false
	}
	provider.Do(http.MethodPost, checkpoints+"pause", nil, http.StatusNoContent, nil)
	eventually(s.t, "the schedule is paused", func() bool { found, is := paused(); return found && is })
	provider.Do(http.MethodPost, checkpoints+"trigger", nil, http.StatusNoContent, nil)
	provider.Do(http.MethodPost, checkpoints+"resume", nil, http.StatusNoContent, nil)
	eventually(s.t, "the schedule runs", func() bool { found, is := paused(); return found && !is })
	provider.Do(http.MethodPost, "/v1/system/schedules/none/pause", nil, http.StatusNotFound, nil)
	var records struct {
		Items []struct {
			Record struct{ Event string }
			Event  string
		}
	}
	provider.Do(http.MethodGet, "/v1/audit/records?category=system", nil, http.StatusOK, &records)
	if len(records.Items) < 3 {
		s.t.Errorf("only %d records of three changes", len(records.Items))
	}
}

func eventually(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it does not come to this: %s", what)
		}
	}
}

// workflows looks at the one that was triggered, and pages.
func (s *story) workflows(provider *appliancetest.Client) {
	s.t.Helper()
	var page doctor.WorkflowPage
	eventually(s.t, "two workflows are listed", func() bool {
		provider.Do(http.MethodGet, "/v1/system/workflows?type=AuditCheckpointWorkflow&status=completed", nil, http.StatusOK, &page)
		return len(page.Items) >= 1
	})
	one := page.Items[0]
	if one.Status != "completed" || one.ClosedAt == nil || one.Type != "AuditCheckpointWorkflow" {
		s.t.Errorf("%+v", one)
	}
	var detail doctor.WorkflowDetail
	provider.Do(http.MethodGet, "/v1/system/workflows/"+one.ID, nil, http.StatusOK, &detail)
	if detail.ID != one.ID || detail.Pending == nil {
		s.t.Errorf("%+v", detail)
	}
	const ended = "/v1/system/workflows?status=completed&limit=1" // one that runs moves when it ends
	provider.Do(http.MethodGet, ended, nil, http.StatusOK, &page)
	if len(page.Items) == 1 && page.Next != "" {
		var next doctor.WorkflowPage
		provider.Do(http.MethodGet, ended+"&cursor="+page.Next, nil, http.StatusOK, &next)
		if len(next.Items) == 1 && next.Items[0].RunID == page.Items[0].RunID {
			s.t.Error("the second page is the first one")
		}
	}
	provider.Do(http.MethodGet, "/v1/system/workflows/missing", nil, http.StatusNotFound, nil)
	for _, bad := range []string{"status=odd", "type=x'%20or%20'1'='1", "cursor=%25"} {
		provider.Do(http.MethodGet, "/v1/system/workflows?"+bad, nil, http.StatusBadRequest, nil)
	}
}

// scrapes reads /metrics as this machine, as a proxy of it, and with tokens.
func (s *story) scrapes(t *testing.T, provider *appliancetest.Client) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	scrape := func(forwarded bool, token string) (int, string) {
		r, err := http.NewRequest(http.MethodGet, s.URL+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		if forwarded {
			r.Header.Set("X-Forwarded-For", "203.0.113.9")
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(body)
	}
	status, text := scrape(false, "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, text)
	}
	for _, want := range []string{
		`nimbus_http_requests_total{method="GET",route="/v1/system/doctor",status="200"} 1`,
		`nimbus_http_requests_total{method="POST",route="/v1/system/schedules/{id}/pause",status="204"} 1`,
		`nimbus_component_up{component="postgres"} 1`, `nimbus_database_size_bytes{database="nimbus"}`, `nimbus_workflows{status="completed"}`,
		"nimbus_audit_append_failures_total 0", "nimbus_sockets 0", "nimbus_certificate_expiry_seconds ", `nimbus_doctor_checks{status="failed"}`,
		"temporal_request_total{",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is missing", want)
		}
	}
	for _, name := range []string{"Acme", "ada@example.com", s.Tenant.String(), s.Tenant.Hex(), "/v1/system/workflows/missing"} {
		if strings.Contains(text, name) {
			t.Errorf("the metrics name %s", name)
		}
	}
	if status, _ := scrape(true, ""); status != http.StatusUnauthorized {
		t.Errorf("behind a proxy without a token: %d", status)
	}
	if status, _ := scrape(true, s.programToken(provider, "cmdb:ci:read")); status != http.StatusForbidden {
		t.Errorf("with a token of another permission: %d", status)
	}
	if status, _ := scrape(true, s.programToken(provider, "system:metrics:read")); status != http.StatusOK {
		t.Errorf("with a token: %d", status)
	}
}

// programToken makes a service account with one permission.
func (s *story) programToken(provider *appliancetest.Client, permission string) string {
	s.t.Helper()
	var account struct{ ID string }
	provider.Do(http.MethodPost, "/v1/service-accounts", map[string]any{"name": "scraper " + permission, "description": ""}, http.StatusCreated, &account)
	s.grant(provider, "service_account", account.ID, permission, time.Time{})
	var token struct{ Token string }
	provider.Do(http.MethodPost, "/v1/service-accounts/"+account.ID+"/tokens", map[string]any{"name": "t", "expires_in_days": 1, "scopes": []string{}}, http.StatusCreated, &token)
	return token.Token
}

// overTheSocket asks as commands on this machine do.
func (s *story) overTheSocket(t *testing.T) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", appliance.LocalSocket(s.DataDir()))
	}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, "http://nimbus/v1/system/doctor/run", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(appliance.SudoHeader, "olga")
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("%d", answer.StatusCode)
	}
}

// claims looks that a command run through sudo is recorded as the console's, on
// behalf of an account that is claimed only, and that nobody else can claim one.
func (s *story) claims(t *testing.T, provider *appliancetest.Client) {
	t.Helper()
	s.scrapeAs(t, provider, "mallory")
	found := s.behalf(provider, "/v1/audit/records?on_behalf_of=olga&event=api.request")
	if len(found) != 1 || found[0].Actor.Kind != "console" || found[0].OnBehalfOf.Kind != "os_user" || !found[0].OnBehalfOf.Claimed || found[0].OnBehalfOf.Name != "olga" {
		t.Errorf("%+v", found)
	}
	if found := s.behalf(provider, "/v1/audit/records?actor=mallory"); len(found) != 0 {
		t.Errorf("who comes over the network can claim to be somebody: %+v", found)
	}
}

// scrapeAs sends the claim of a command over the network.
func (s *story) scrapeAs(t *testing.T, provider *appliancetest.Client, account string) {
	t.Helper()
	token := s.ownToken(provider)
	if status := s.asProgram(t, token, func(r *http.Request) { r.Header.Set(appliance.SudoHeader, account) }); status != http.StatusOK {
		t.Errorf("%d", status)
	}
}

func (s *story) ownToken(provider *appliancetest.Client) string {
	s.t.Helper()
	var token struct{ Token string }
	provider.Do(http.MethodPost, "/v1/tokens", map[string]any{"name": "nightly job", "expires_in_days": 1, "scopes": []string{}}, http.StatusCreated, &token)
	return token.Token
}

// asProgram runs the doctor with a token.
func (s *story) asProgram(t *testing.T, token string, change func(*http.Request)) int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	r, err := http.NewRequest(http.MethodPost, s.URL+"/v1/system/doctor/run", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	change(r)
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// tokenActs looks that what a program does with a person's token is recorded as
// the token's, on behalf of the person, and found with what the person did.
func (s *story) tokenActs(t *testing.T, provider *appliancetest.Client) {
	t.Helper()
	for _, path := range []string{
		"/v1/audit/records?actor=nightly&event=api.request", "/v1/audit/records?on_behalf_of=" + s.Admin.ID.String() + "&event=api.request",
		"/v1/audit/records?q=nightly&event=api.request&actor=" + s.Admin.ID.String(),
	} {
		found := s.behalf(provider, path)
		for deadline := time.Now().Add(15 * time.Second); len(found) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			found = s.behalf(provider, path) // words are made searchable behind the sealer
		}
		if len(found) != 1 || found[0].Actor.Kind != "api_token" || found[0].Actor.Name != "nightly job" || found[0].OnBehalfOf.ID != s.Admin.ID.String() {
			t.Errorf("%s: %+v", path, found)
		}
	}
	var activity struct{ Items []forWhom }
	provider.Do(http.MethodGet, "/v1/audit/activity/"+s.Admin.ID.String()+"?limit=200", nil, http.StatusOK, &activity)
	kinds := map[string]int{}
	for _, r := range activity.Items {
		kinds[r.Actor.Kind]++
	}
	if kinds["api_token"] != 1 || kinds["user"] < 10 {
		t.Errorf("the activity of the person has %v", kinds)
	}
}

type forWhom struct {
	Sequence   int64
	Event      string
	Actor      struct{ ID, Kind, Name string }
	OnBehalfOf struct {
		ID, Kind, Name string
		Claimed        bool
	} `json:"on_behalf_of"`
}

// behalf lists records once what was done is sealed.
func (s *story) behalf(provider *appliancetest.Client, path string) []forWhom {
	s.t.Helper()
	provider.Do(http.MethodPost, "/v1/audit/verify", nil, http.StatusOK, nil)
	var found struct{ Items []forWhom }
	provider.Do(http.MethodGet, path, nil, http.StatusOK, &found)
	return found.Items
}

const canary = "c4n4ry-Zq8vT1mR7xW2"

// TestRobustness15SupportBundle plants a secret wherever the appliance takes
// one, makes failures that could tell it, and looks for it in the bundle.
func TestRobustness15SupportBundle(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	provider := s.SignIn(t, "ada@example.com", s.Root)
	tenant := s.SignIn(t, "ada@example.com", s.Tenant)
	ctx := context.Background()
	sealed, err := s.SealLocal(ctx, "hsm pin", []byte(canary))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Change(ctx, func(to *appliance.Settings) { to.HSM.PIN = sealed }); err != nil {
		t.Fatal(err)
	}
	provider.Do(http.MethodPut, "/v1/system/mail", map[string]any{"host": "127.0.0.1", "port": 1, "security": "none", "username": "nimbus",
		"password": canary, "from_address": "nimbus@example.com"}, http.StatusOK, nil)
	provider.Try(http.MethodPost, "/v1/system/mail/test", map[string]any{"to": "ada@example.com"})
	tenant.Try(http.MethodPost, "/v1/connections", map[string]any{"name": "secret", "url": "https://127.0.0.1:1", "token_id": "nimbus@pve!x", "secret": canary, "fingerprint": strings.Repeat("AA:", 31) + "AA"})
	tenant.Try(http.MethodPost, "/v1/audit/sinks", map[string]any{"name": "siem", "kind": "webhook", "url": "https://127.0.0.1:1/?token=" + canary, "secret": canary, "authorization": "Bearer " + canary})
	s.Client(t).Try(http.MethodPost, "/v1/session", map[string]any{"email": "ada@example.com", "password": canary})
	s.Client(t).Try(http.MethodGet, "/v1/session?token="+canary, nil)
	provider.Try(http.MethodPost, "/v1/users", map[string]any{"name": "Eve", "email": "eve@example.com", "password": canary, "role_ids": []string{}})

	status, bundle := provider.Try(http.MethodPost, "/v1/system/support-bundle", nil)
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, bundle)
	}
	files := unpackBundle(t, bundle)
	for _, name := range []string{"README.txt", "versions.json", "settings.json", "health.json", "doctor.json", "schema.json", "tables.json",
		"workflows.json", "schedules.json", "log.jsonl", "goroutines.txt"} {
		if content := files[name]; content == "" || strings.Contains(content, "could not be read") {
			t.Errorf("%s: %q", name, content)
		}
	}
	secrets := []string{canary, appliancetest.Password}
	for name, content := range files {
		for _, secret := range secrets {
			if strings.Contains(content, secret) {
				t.Errorf("%s holds %s", name, secret)
			}
		}
		if strings.Contains(content, "PRIVATE KEY") {
			t.Errorf("%s holds a key", name)
		}
	}
}

func unpackBundle(t testing.TB, bundle []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for archive := tar.NewReader(zipped); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(h.Name, "nimbus-support/")] = string(content)
	}
}
