package deployment

import (
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
)

var someStack = id.MustParse("01997e00-0000-7000-8000-000000000001")

const someMark = "nimbus-01997e00000070008000000000000001"

func TestPinned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		program string
		pins    map[string]int
		want    string
	}{
		"everything is added": {
			"resources:\n  web:\n    type: proxmoxve:index/vmLegacy:VmLegacy\n    properties:\n      nodeName: pve1\n      disks: [{interface: scsi0}, {interface: scsi1, speed: {read: 5}}]\n",
			map[string]int{"web": 105},
			"resources:\n  web:\n    type: proxmoxve:index/vmLegacy:VmLegacy\n    properties:\n      nodeName: pve1\n      disks: [{interface: scsi0}, {interface: scsi1, speed: {read: 5}}]\n" +
				"      vmId: 105\n      tags:\n        - nimbus\n        - " + someMark + "\n" +
				"    options:\n      deleteBeforeReplace: true\n      ignoreChanges:\n        - disks[0].speed\n",
		},
		"without properties, a container": {
			"resources:\n  ct:\n    type: proxmoxve:ContainerLegacy\n", map[string]int{"ct": 106},
			"resources:\n  ct:\n    type: proxmoxve:ContainerLegacy\n    properties:\n      vmId: 106\n      tags:\n        - nimbus\n        - " + someMark + "\n" +
				"    options:\n      deleteBeforeReplace: true\n",
		},
		"tags and options are kept": {
			"resources:\n  web:\n    type: proxmoxve:index:VmLegacy\n    properties: {vmId: 200, tags: [Zoo, \"${env}\"]}\n    options: {deleteBeforeReplace: false, protect: true, ignoreChanges: [name]}\n",
			map[string]int{"web": 200},
			"resources:\n  web:\n    type: proxmoxve:index:VmLegacy\n    properties: {vmId: 200, tags: [nimbus, " + someMark + ", prod, zoo]}\n    options: {deleteBeforeReplace: true, protect: true, ignoreChanges: [name]}\n",
		},
		"a VMID as text": {
			"resources:\n  web:\n    type: proxmoxve:cloned/vm:Vm\n    properties: {nodeName: pve1}\n", map[string]int{"web": 107},
			"resources:\n  web:\n    type: proxmoxve:cloned/vm:Vm\n    properties: {nodeName: pve1, resourceId: \"107\", tags: [nimbus, " + someMark + "]}\n    options:\n      deleteBeforeReplace: true\n",
		},
		"aliases are written out": {
			"resources:\n  a:\n    type: proxmoxve:VmLegacy\n    properties: &p {nodeName: pve1}\n  b:\n    type: proxmoxve:VmLegacy\n    properties: *p\n",
			map[string]int{"a": 101, "b": 102},
			"resources:\n  a:\n    type: proxmoxve:VmLegacy\n    properties: {nodeName: pve1, vmId: 101, tags: [nimbus, " + someMark + "]}\n    options:\n      deleteBeforeReplace: true\n" +
				"  b:\n    type: proxmoxve:VmLegacy\n    properties: {nodeName: pve1, vmId: 102, tags: [nimbus, " + someMark + "]}\n    options:\n      deleteBeforeReplace: true\n",
		},
		"other resources stay": {
			"resources:\n  pool:\n    type: proxmoxve:PoolLegacy\n    properties: {poolId: prod}\n", nil,
			"resources:\n  pool:\n    type: proxmoxve:PoolLegacy\n    properties: {poolId: prod}\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p, err := parseProgram(c.program, map[string]ConfigValue{"env": {Value: "prod"}})
			must(t, err)
			got, err := p.pinned(c.pins, someStack)
			must(t, err)
			if !sameYAML(t, string(got), c.want) {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func sameYAML(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	must(t, yaml.Unmarshal([]byte(a), &x))
	must(t, yaml.Unmarshal([]byte(b), &y))
	xs, err := yaml.Marshal(x)
	must(t, err)
	ys, err := yaml.Marshal(y)
	must(t, err)
	return string(xs) == string(ys)
}

func TestProgramsThatAreRefused(t *testing.T) {
	t.Parallel()
	vm := "resources:\n  web:\n    type: proxmoxve:VmLegacy\n    properties: {nodeName: pve1%s}\n"
	for name, c := range map[string]struct{ program, says string }{
		"VMID from elsewhere":        {strings.Replace(vm, "%s", `, vmId: "${other.id}"`, 1), "has to be a number"},
		"VMID from a secret":         {strings.Replace(vm, "%s", `, vmId: "${hidden}"`, 1), "has to be a number"},
		"VMID too small":             {strings.Replace(vm, "%s", `, vmId: 99`, 1), "between"},
		"VMID by an expression":      {strings.Replace(vm, "%s", `, vmId: {fn::toJSON: 5}`, 1), "has to be a number"},
		"tags by an expression":      {strings.Replace(vm, "%s", `, tags: "${tags}"`, 1), "list of words"},
		"type in capitals":           {"resources:\n  web:\n    Type: proxmoxve:VmLegacy\n", `Write "Type" as "type"`},
		"properties in capitals":     {"resources:\n  web:\n    type: proxmoxve:VmLegacy\n    Properties: {vmId: 100}\n", `Write "Properties"`},
		"another name":               {"resources:\n  web:\n    type: proxmoxve:VmLegacy\n    name: x\n", "called by its key"},
		"merge key":                  {"resources:\n  web:\n    <<: {}\n    type: proxmoxve:VmLegacy\n", "Merge keys"},
		"import":                     {"resources:\n  web:\n    type: proxmoxve:VmLegacy\n    options: {import: \"100\"}\n", "Taking over"},
		"the same VMID twice":        {"resources:\n  a: {type: \"proxmoxve:VmLegacy\", properties: {vmId: 100}}\n  b: {type: \"proxmoxve:VmLegacy\", properties: {vmId: 100}}\n", "Two guests"},
		"rules for somebody else's":  {"resources:\n  r: {type: \"proxmoxve:firewall/rulesLegacy:RulesLegacy\", properties: {vmId: 100}}\n", "has to belong to a guest"},
		"rules for a foreign output": {"resources:\n  r: {type: \"proxmoxve:firewall/rulesLegacy:RulesLegacy\", properties: {containerId: \"${x.vmId}\"}}\n", "has to belong to a guest"},
		"availability of another":    {"resources:\n  r: {type: \"proxmoxve:Haresource\", properties: {resourceId: \"vm:100\", state: stopped}}\n", "has to belong to a guest"},
		"availability by number":     {"resources:\n  r: {type: \"proxmoxve:HaresourceLegacy\", properties: {resourceId: 100}}\n", "has to belong to a guest"},
		"replication of another":     {"resources:\n  r: {type: \"proxmoxve:index:Replication\", properties: {resourceId: 100-0}}\n", "has to belong to a guest"},
		"availability from outside":  {"resources:\n  r: {type: \"proxmoxve:Haresource\", properties: {resourceId: \"vm:${x}\"}}\n", "has to belong to a guest"},
		"not YAML":                   {"a: [", "not YAML"},
		"a list":                     {"- a", "has to be a mapping"},
		"alias bomb":                 {bomb(), "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := parseProgram(c.program, map[string]ConfigValue{"hidden": {Value: 100, Secret: true}})
			if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.Message(err), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func bomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 9; i++ {
		n, m := itoa(i), itoa(i-1)
		b.WriteString("a" + n + ": &a" + n + " [" + strings.Repeat("*a"+m+", ", 9) + "*a" + m + "]\n")
	}
	return b.String()
}

func TestOwnGuestsCanBeReferredTo(t *testing.T) {
	t.Parallel()
	p, err := parseProgram(`
resources:
  web: {type: "proxmoxve:VmLegacy", properties: {vmId: "${number}"}}
  rules: {type: "proxmoxve:firewall/rulesLegacy:RulesLegacy", properties: {vmId: "${web.vmId}"}}
  more: {type: "proxmoxve:firewall/rulesLegacy:RulesLegacy", properties: {vmId: 150}}
  old: {type: "proxmoxve:VmLegacy", get: {id: "100"}}
`, map[string]ConfigValue{"number": {Value: float64(150)}})
	must(t, err)
	if len(p.guests) != 1 || p.guests[0].vmid != 150 {
		t.Errorf("guests %+v", p.guests)
	}
}

// TestRobustness40NamesAreData has names that a shell or YAML would take apart.
func TestRobustness40NamesAreData(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"; rm -rf /", "$(id)", "`id`", "a\nb: c", "--help", "${web.id}", "'\""} {
		program, err := yaml.Marshal(map[string]any{"resources": map[string]any{
			"web": map[string]any{"type": "proxmoxve:VmLegacy", "properties": map[string]any{"name": name}},
		}})
		must(t, err)
		p, err := parseProgram(string(program), nil)
		must(t, err)
		out, err := p.pinned(map[string]int{"web": 100}, someStack)
		must(t, err)
		var doc struct {
			Resources map[string]struct {
				Properties map[string]any
			}
		}
		must(t, yaml.Unmarshal(out, &doc))
		if got := doc.Resources["web"].Properties["name"]; got != name {
			t.Errorf("%q became %q", name, got)
		}
	}
}

func TestTemplatesCanBePinned(t *testing.T) {
	t.Parallel()
	all, err := readTemplates()
	must(t, err)
	if len(all) != 4 {
		t.Fatalf("%d templates", len(all))
	}
	for _, template := range all {
		var doc struct{ Config map[string]any }
		must(t, yaml.Unmarshal([]byte(template.Program), &doc))
		if len(doc.Config) != len(template.Parameters) {
			t.Errorf("%s: %d parameters, %d configuration values", template.Name, len(template.Parameters), len(doc.Config))
		}
		for _, p := range template.Parameters {
			if _, ok := doc.Config[p.Name]; !ok || p.Title == "" {
				t.Errorf("%s: parameter %+v", template.Name, p)
			}
		}
		p, err := parseProgram(template.Program, nil)
		must(t, err)
		if len(p.guests) == 0 {
			t.Errorf("%s makes no guest", template.Name)
		}
	}
}

// TestAGuestOfTheProgramIsNamedInMoreThanOneWay: what belongs to it is allowed.
func TestAGuestOfTheProgramIsNamedInMoreThanOneWay(t *testing.T) {
	t.Parallel()
	for typ, named := range map[string][]string{
		"proxmoxve:Haresource":             {"vm:${my-web.vmId}", "vm:500", "ct:500", "500", "${ha}"},
		"proxmoxve:ReplicationLegacy":      {"${my-web.vmId}-0", "500-1"},
		"proxmoxve:sdn/zone/simple:Simple": {"zone1"},
	} {
		for _, text := range named {
			_, err := parseProgram("resources:\n  my-web: {type: \"proxmoxve:VmLegacy\", properties: {vmId: 500}}\n  r: {type: \""+typ+"\", properties: {resourceId: \""+text+"\"}}\n",
				map[string]ConfigValue{"ha": {Value: "vm:500"}})
			if err != nil {
				t.Errorf("%s %s: %v", typ, text, err)
			}
		}
	}
}
