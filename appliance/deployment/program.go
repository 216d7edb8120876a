package deployment

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"nimbus/appliance/fault"
	"nimbus/appliance/id"
	"nimbus/appliance/provider"
)

const (
	maxProgram = 512 << 10 // bytes
	maxNodes   = 50_000    // of the document with its aliases written out
)

// The VMIDs that Proxmox VE allows.
const (
	minVMID = 100
	maxVMID = 999_999_999
)

// guestType says how a resource type makes a guest.
type guestType struct {
	kind string // qemu or lxc
	id   string // the property with the VMID
	text bool   // which is text there
}

var guestTypes = map[string]guestType{
	"proxmoxve:index/vmLegacy:VmLegacy":               {"qemu", "vmId", false},
	"proxmoxve:index/containerLegacy:ContainerLegacy": {"lxc", "vmId", false},
	"proxmoxve:index/vm:Vm":                           {"qemu", "resourceId", true},
	"proxmoxve:index/vm2Legacy:Vm2Legacy":             {"qemu", "resourceId", true},
	"proxmoxve:cloned/vm:Vm":                          {"qemu", "resourceId", true},
	"proxmoxve:cloned/vmLegacy:VmLegacy":              {"qemu", "resourceId", true},
}

// canonical writes a type token in its long form, by the rules of Pulumi YAML:
// proxmoxve:VmLegacy and proxmoxve:index:VmLegacy stand for
// proxmoxve:index/vmLegacy:VmLegacy.
func canonical(token string) string {
	parts := strings.Split(token, ":")
	if len(parts) == 2 {
		parts = []string{parts[0], "index", parts[1]}
	}
	if len(parts) != 3 || parts[2] == "" {
		return token
	}
	file := "/" + strings.ToLower(parts[2][:1]) + parts[2][1:]
	if !strings.HasSuffix(parts[1], file) {
		parts[1] += file
	}
	return strings.Join(parts, ":")
}

// guest is a VM or container of a program.
type guest struct {
	name string // of the resource in the program
	kind string
	vmid int // given by the program; 0: reserved by us
	tags []string
	node *yaml.Node
	spec guestType
}

// program is a parsed program in which guests can be pinned.
type program struct {
	doc    *yaml.Node
	guests []guest
}

// parseProgram reads a program and finds its guests. It returns fault.Invalid
// with the place of what cannot be allowed: a VMID that is not known before the
// run, resources of other guests, taking over what exists.
func parseProgram(text string, config map[string]ConfigValue) (*program, error) {
	if len(text) > maxProgram {
		return nil, fault.New(fault.Invalid, "The program is larger than %d KiB. Split it into several stacks.", maxProgram>>10)
	}
	var doc yaml.Node
	if err := yaml.NewDecoder(strings.NewReader(text)).Decode(&doc); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "The program is not YAML: %v", err)
	}
	budget := maxNodes
	root := expand(&doc, &budget)
	if budget < 0 {
		return nil, fault.New(fault.Invalid, "The program is too large. Split it into several stacks.")
	}
	p := &program{doc: root}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fault.New(fault.Invalid, "The program has to be a mapping with resources.")
	}
	resources := member(root.Content[0], "resources")
	if resources == nil || resources.Kind != yaml.MappingNode {
		return p, nil
	}
	for i := 0; i+1 < len(resources.Content); i += 2 {
		if err := p.resource(resources.Content[i].Value, resources.Content[i+1], config); err != nil {
			return nil, err
		}
	}
	return p, p.checkReferences(resources, config)
}

// expand copies a node with its aliases written out, so that one place can be
// changed without another. The budget bounds what aliases of aliases make.
func expand(n *yaml.Node, budget *int) *yaml.Node {
	if *budget--; *budget < 0 {
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	}
	if n.Kind == yaml.AliasNode {
		return expand(n.Alias, budget)
	}
	out := *n
	out.Anchor, out.Content = "", make([]*yaml.Node, 0, len(n.Content))
	for _, child := range n.Content {
		out.Content = append(out.Content, expand(child, budget))
	}
	return &out
}

// resource looks at one resource and keeps it when it is a guest.
func (p *program) resource(name string, body *yaml.Node, config map[string]ConfigValue) error {
	if body.Kind != yaml.MappingNode {
		return at(body, "The resource %q has to be a mapping with type and properties.", name)
	}
	for i := 0; i+1 < len(body.Content); i += 2 {
		key := body.Content[i]
		if want := strings.ToLower(key.Value); want != key.Value && slices.Contains([]string{"type", "properties", "options", "get"}, want) {
			return at(key, "Write %q as %q.", key.Value, want)
		}
		if key.Value == "name" {
			return at(key, "A resource is called by its key here. Leave name out of %q.", name)
		}
		if key.Value == "<<" {
			return at(key, "Merge keys are not available in a resource. Write the properties out.")
		}
	}
	options := member(body, "options")
	if options != nil && member(options, "import") != nil {
		return at(options, "Taking over what exists is not available in a program. Leave the option import out of %q.", name)
	}
	typ := member(body, "type")
	if typ == nil {
		return nil // the engine says so
	}
	spec, ok := guestTypes[canonical(typ.Value)]
	if !ok || member(body, "get") != nil {
		return nil
	}
	vmid, err := givenID(name, member(member(body, "properties"), spec.id), config)
	if err != nil {
		return err
	}
	if vmid != 0 && slices.ContainsFunc(p.guests, func(g guest) bool { return g.vmid == vmid }) {
		return at(body, "Two guests of the program have the VMID %d. Give each its own, or leave it out.", vmid)
	}
	tags, err := givenTags(name, member(member(body, "properties"), "tags"), config)
	p.guests = append(p.guests, guest{name: name, kind: spec.kind, vmid: vmid, tags: tags, node: body, spec: spec})
	return err
}

var configReference = regexp.MustCompile(`^\$\{([A-Za-z0-9_-]+)\}$`)

// givenID is the VMID that a program gives: a number, or one from the
// configuration. 0 means none.
func givenID(name string, n *yaml.Node, config map[string]ConfigValue) (int, error) {
	if n == nil || n.Tag == "!!null" {
		return 0, nil
	}
	text := configured(n, config)
	vmid, err := strconv.Atoi(text)
	if n.Kind != yaml.ScalarNode || err != nil {
		return 0, at(n, "The VMID of %q has to be a number, or be left out so that Nimbus chooses one.", name)
	}
	if vmid < minVMID || vmid > maxVMID {
		return 0, at(n, "The VMID of %q has to be between %d and %d.", name, minVMID, maxVMID)
	}
	return vmid, nil
}

// configured is a scalar's text, taken from the configuration when it is only a
// reference to it.
func configured(n *yaml.Node, config map[string]ConfigValue) string {
	ref := configReference.FindStringSubmatch(n.Value)
	if ref == nil {
		return n.Value
	}
	if v, ok := config[ref[1]]; ok && !v.Secret {
		return written(v.Value)
	}
	return n.Value
}

// givenTags are the tags that a program gives to a guest. They have to be known
// before the run, because ours are sorted in between.
func givenTags(name string, n *yaml.Node, config map[string]ConfigValue) ([]string, error) {
	if n == nil || n.Tag == "!!null" {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, at(n, "Write the tags of %q as a list of words.", name)
	}
	var tags []string
	for _, item := range n.Content {
		word := configured(item, config)
		if item.Kind != yaml.ScalarNode || strings.Contains(word, "${") {
			return nil, at(item, "Write the tags of %q as a list of words.", name)
		}
		tags = append(tags, word)
	}
	return tags, nil
}

var guestReference = regexp.MustCompile(`^\$\{([A-Za-z0-9_-]+)\.(vmId|resourceId|id)\}$`)

// checkReferences refuses resources that belong to a guest outside the program,
// such as firewall rules for somebody else's VM.
func (p *program) checkReferences(resources *yaml.Node, config map[string]ConfigValue) error {
	for i := 0; i+1 < len(resources.Content); i += 2 {
		name, body := resources.Content[i].Value, resources.Content[i+1]
		if p.find(name) != nil {
			continue
		}
		for _, key := range []string{"vmId", "containerId"} {
			n := member(member(body, "properties"), key)
			if n == nil || p.refersToOwn(n, config) {
				continue
			}
			return at(n, "%q has to belong to a guest of this program. Write %s: ${name.vmId} with the guest's name.", name, key)
		}
		if err := p.checkNamed(name, body, config); err != nil {
			return err
		}
	}
	return nil
}

// naming are the resources that name a guest within a text: "vm:100" of high
// availability, "100-0" of a replication.
var naming = map[string]bool{
	"proxmoxve:index/haresource:Haresource": true, "proxmoxve:index/haresourceLegacy:HaresourceLegacy": true,
	"proxmoxve:index/replication:Replication": true, "proxmoxve:index/replicationLegacy:ReplicationLegacy": true,
}

var namedGuest = regexp.MustCompile(`^(?:vm:|ct:)?(.+?)(?:-\d+)?$`)

// checkNamed is checkReferences for a resource that names its guest so: it can
// stop the guest, move it, and copy its disks.
func (p *program) checkNamed(name string, body *yaml.Node, config map[string]ConfigValue) error {
	n := member(member(body, "properties"), "resourceId")
	typ := member(body, "type")
	if n == nil || typ == nil || !naming[canonical(typ.Value)] {
		return nil
	}
	match := namedGuest.FindStringSubmatch(configured(n, config))
	if n.Kind == yaml.ScalarNode && match != nil && p.refersToOwn(text(match[1]), config) {
		return nil
	}
	return at(n, "%q has to belong to a guest of this program. Write ${name.vmId} with the guest's name in resourceId, as in vm:${name.vmId}.", name)
}

func (p *program) refersToOwn(n *yaml.Node, config map[string]ConfigValue) bool {
	if ref := guestReference.FindStringSubmatch(n.Value); ref != nil && p.find(ref[1]) != nil {
		return true
	}
	vmid, err := givenID("", n, config)
	return err == nil && vmid != 0 && slices.ContainsFunc(p.guests, func(g guest) bool { return g.vmid == vmid })
}

func (p *program) find(name string) *guest {
	for i := range p.guests {
		if p.guests[i].name == name {
			return &p.guests[i]
		}
	}
	return nil
}

// pinned is the program as the engine gets it: every guest has its VMID and the
// stack's mark among its tags, is deleted before it is replaced (both would have
// the same VMID), and properties that never settle are ignored.
func (p *program) pinned(pins map[string]int, stack id.ID) ([]byte, error) {
	for _, g := range p.guests {
		if pins[g.name] == 0 {
			return nil, fault.New(fault.Internal, "The guest %q has no VMID.", g.name)
		}
		g.pin(pins[g.name], stack)
	}
	var out bytes.Buffer
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(p.doc); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (g guest) pin(vmid int, stack id.ID) {
	properties := ensure(g.node, "properties", yaml.MappingNode)
	number := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: strconv.Itoa(vmid)}
	if g.spec.text {
		number.Tag, number.Style = "!!str", yaml.DoubleQuotedStyle
	}
	set(properties, g.spec.id, number)
	tags := &yaml.Node{Kind: yaml.SequenceNode}
	for _, tag := range provider.MarkTags(stack, g.tags...) {
		tags.Content = append(tags.Content, text(tag))
	}
	set(properties, "tags", tags)
	options := ensure(g.node, "options", yaml.MappingNode)
	set(options, "deleteBeforeReplace", &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "true"})
	ignore(options, noisy(g, properties))
}

// noisy lists properties that differ at every run: the provider reads limits of
// zero where none were set.
func noisy(g guest, properties *yaml.Node) []string {
	disks := member(properties, "disks")
	if g.kind != "qemu" || disks == nil || disks.Kind != yaml.SequenceNode {
		return nil
	}
	var paths []string
	for i, disk := range disks.Content {
		if member(disk, "speed") == nil {
			paths = append(paths, fmt.Sprintf("disks[%d].speed", i))
		}
	}
	return paths
}

func ignore(options *yaml.Node, paths []string) {
	if len(paths) == 0 {
		return
	}
	list := ensure(options, "ignoreChanges", yaml.SequenceNode)
	if list.Kind != yaml.SequenceNode {
		return
	}
	for _, path := range paths {
		if !slices.ContainsFunc(list.Content, func(n *yaml.Node) bool { return n.Value == path }) {
			list.Content = append(list.Content, text(path))
		}
	}
}

// member is the value of a key of a mapping; nil for anything else.
func member(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func set(n *yaml.Node, key string, value *yaml.Node) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content[i+1] = value
			return
		}
	}
	n.Content = append(n.Content, text(key), value)
}

// ensure is member that adds an empty node when there is none.
func ensure(n *yaml.Node, key string, kind yaml.Kind) *yaml.Node {
	if m := member(n, key); m != nil && m.Tag != "!!null" {
		return m
	}
	m := &yaml.Node{Kind: kind}
	set(n, key, m)
	return m
}

func text(value string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: value}
}

// at is a fault about a place in the program.
func at(n *yaml.Node, format string, args ...any) error {
	f := fault.New(fault.Invalid, format, args...)
	f.Fields = []fault.Field{{Location: fmt.Sprintf("body.program:%d:%d", n.Line, n.Column), Message: f.Message}}
	return f
}
