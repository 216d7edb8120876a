package pulumi

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestMode(t *testing.T) {
	t.Parallel()
	for argv0, want := range map[string]Mode{
		"/var/lib/nimbus/pulumi/bin/pulumi": ModeCLI,
		"pulumi-resource-proxmoxve":         ModeProvider,
		"/usr/bin/nimbus":                   ModeAppliance,
		"":                                  ModeAppliance,
		"/opt/pulumi/nimbus":                ModeAppliance,
	} {
		if got := ModeOf(argv0); got != want {
			t.Errorf("ModeOf(%q) = %d, want %d", argv0, got, want)
		}
	}
	if _, handled := Dispatch([]string{"nimbus", "serve"}); handled {
		t.Error("the appliance was taken for a part of the engine")
	}
	if _, handled := Dispatch(nil); handled {
		t.Error("no arguments were taken for a part of the engine")
	}
}

func TestRobustness40NamesAreRefused(t *testing.T) {
	t.Parallel()
	good := Run{Project: "p", Stack: "s", Passphrase: "x"}
	for _, name := range []string{"", "-x", "..", "../x", "a/b", "a;b", "$(x)", "`x`", "a\nb", "A", "a b", strings.Repeat("a", 101)} {
		r := good
		r.Stack = name
		if r.check() == nil {
			t.Errorf("stack name %q is accepted", name)
		}
		r = good
		r.Project = name
		if r.check() == nil {
			t.Errorf("project name %q is accepted", name)
		}
	}
	for _, name := range []string{"LD_PRELOAD", "PULUMI_HOME", "PATH", "proxmox_ve_x", "PROXMOX_VE_X=Y", ""} {
		r := good
		r.Env = map[string]string{name: "x"}
		if r.check() == nil {
			t.Errorf("environment variable %q is accepted", name)
		}
	}
	r := good
	r.Passphrase = ""
	if err := r.check(); !errors.Is(err, ErrPassphrase) {
		t.Errorf("without a passphrase: %v", err)
	}
	r = good
	r.Config = map[string]ConfigValue{"proxmoxve:endpoint": {Value: "x"}}
	if r.check() == nil {
		t.Error("a provider's setting is accepted as configuration")
	}
	if err := good.check(); err != nil {
		t.Error(err)
	}
}

func TestChildEnvironmentIsFromScratch(t *testing.T) {
	t.Setenv("NIMBUS_CANARY", "must-not-leak")
	e := New(Config{Dir: "/d"})
	env := e.environ(command{id: "7", run: &Run{Passphrase: "open", Env: map[string]string{"PROXMOX_VE_ENDPOINT": "https://h/"}}})
	for _, want := range []string{"PULUMI_CONFIG_PASSPHRASE=open", "PROXMOX_VE_ENDPOINT=https://h/", envRun + "=7", envDir + "=/d",
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true", "PULUMI_SKIP_UPDATE_CHECK=true"} {
		if !slices.Contains(env, want) {
			t.Errorf("%s is not in the environment", want)
		}
	}
	for _, v := range env {
		if strings.Contains(v, "must-not-leak") || strings.HasPrefix(v, "PATH=") {
			t.Errorf("%s is in the environment", v)
		}
	}
}

func TestOldFilesAreRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := keepNewest(dir, 2); err != nil {
		t.Fatal(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left %v, %v", left, err)
	}
	if err := keepNewest(filepath.Join(dir, "missing"), 2); err != nil {
		t.Error(err)
	}
}

func TestEditorSchema(t *testing.T) {
	t.Parallel()
	s, err := EditorSchema()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(s.Resources, func(r ResourceType) bool { return r.Type == "proxmoxve:index/vmLegacy:VmLegacy" })
	if i < 0 {
		t.Fatal("no type for a VM")
	}
	inputs := map[string]Member{}
	for _, m := range s.Resources[i].Inputs {
		inputs[m.Name] = m
	}
	if m := inputs["nodeName"]; !m.Required || m.Type != "string" || m.Description == "" {
		t.Errorf("nodeName is %+v", m)
	}
	object := strings.TrimSuffix(strings.TrimPrefix(inputs["disks"].Type, "list<"), ">")
	if !slices.ContainsFunc(s.Types[object], func(m Member) bool { return m.Name == "interface" && m.Required }) {
		t.Errorf("disks is %+v and its type %+v", inputs["disks"], s.Types[object])
	}
}

func TestCanonicalType(t *testing.T) {
	t.Parallel()
	for _, token := range []string{"proxmoxve:VmLegacy", "proxmoxve:index:VmLegacy", vmType} {
		if got := canonical(token); got != vmType {
			t.Errorf("canonical(%q) = %q", token, got)
		}
	}
	if got := canonical("proxmoxve:cloned:Vm"); guestTypes[got] == "" {
		t.Errorf("%q is no guest", got)
	}
	for _, odd := range []string{"", "x", "a:b:", "a:b:c:d"} {
		if got := canonical(odd); got != odd && guestTypes[got] != "" {
			t.Errorf("canonical(%q) = %q", odd, got)
		}
	}
}

func TestGuestsOfAPlan(t *testing.T) {
	t.Parallel()
	container := "proxmoxve:index/containerLegacy:ContainerLegacy"
	p := Plan{Changes: []Change{
		{Name: "new", Type: vmType, Op: OpCreate, Diffs: []Diff{{Path: "nodeName", New: "pve1"}, {Path: "vmId", New: 101.0}}},
		{Name: "any", Type: vmType, Op: OpCreate},
		{Name: "moved", Type: container, Op: OpReplace, ID: "102", Diffs: []Diff{{Path: "nodeName", Old: "a", New: "b", ReplaceCause: true}}},
		{Name: "renumbered", Type: vmType, Op: OpReplace, ID: "103", Diffs: []Diff{{Path: "vmId", Old: 103.0, New: 104.0}}},
		{Name: "gone", Type: vmType, Op: OpDelete, ID: "105"},
		{Name: "cloned", Type: "proxmoxve:cloned/vm:Vm", Op: OpCreate, Diffs: []Diff{{Path: "resourceId", New: "106"}}},
		{Name: "pool", Type: "proxmoxve:index/poolLegacy:PoolLegacy", Op: OpCreate},
	}}
	want := []Guest{
		{Name: "new", Op: OpCreate, VMID: 101, Node: "pve1"},
		{Name: "any", Op: OpCreate},
		{Name: "moved", Op: OpReplace, VMID: 102, OldVMID: 102, Node: "b"},
		{Name: "renumbered", Op: OpReplace, VMID: 104, OldVMID: 103},
		{Name: "gone", Op: OpDelete, VMID: 105},
		{Name: "cloned", Op: OpCreate, VMID: 106},
	}
	if got := p.Guests(); !slices.Equal(got, want) {
		t.Errorf("guests are %+v, want %+v", got, want)
	}
}
