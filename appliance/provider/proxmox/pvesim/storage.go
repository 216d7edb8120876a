package pvesim

import (
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// storage is a storage's configuration, as /etc/pve/storage.cfg holds it.
type storage struct {
	Type    string
	Size    int64
	Options map[string]string // content, path, nodes, shared, …
}

func newStorage(s Storage) *storage {
	st := &storage{Type: s.Type, Size: s.Size, Options: map[string]string{"content": s.Content}}
	if st.Size == 0 {
		st.Size = 250 * gib
	}
	switch s.Type {
	case "dir", "nfs":
		st.Options["path"] = s.Path
		if s.Path == "" {
			st.Options["path"] = "/var/lib/vz"
		}
	case "lvmthin":
		st.Options["vgname"], st.Options["thinpool"] = "pve", "data"
	}
	if s.Shared {
		st.Options["shared"] = "1"
	}
	return st
}

func (s *storage) shared() bool {
	return s.Options["shared"] == "1" || slices.Contains([]string{"nfs", "cifs", "cephfs", "rbd", "pbs"}, s.Type)
}

func (s *storage) holds(content string) bool {
	return slices.Contains(splitList(s.Options["content"]), content)
}

// fileBased storages keep images as files in a folder per guest and know formats other than raw.
func (s *storage) fileBased() bool { return s.Options["path"] != "" }

func (s *storage) availableOn(node string) bool {
	nodes := splitList(s.Options["nodes"])
	return s.Options["disable"] != "1" && (len(nodes) == 0 || slices.Contains(nodes, node))
}

// home is the node under which volumes of a storage are kept: shared storages have one content.
func (s *storage) home(node string) string {
	if s.shared() {
		return ""
	}
	return node
}

var storageMethods = map[string]handler{
	"GET /storage":              listStorages,
	"POST /storage":             createStorage,
	"GET /storage/{storage}":    readStorage,
	"PUT /storage/{storage}":    updateStorage,
	"DELETE /storage/{storage}": deleteStorage,

	"GET /nodes/{node}/storage":                               listNodeStorages,
	"GET /nodes/{node}/storage/{storage}":                     indexOf("content", "download-url", "rrd", "rrddata", "status", "upload"),
	"GET /nodes/{node}/storage/{storage}/status":              storageStatus,
	"GET /nodes/{node}/storage/{storage}/rrddata":             storageRRD,
	"GET /nodes/{node}/storage/{storage}/content":             listContent,
	"POST /nodes/{node}/storage/{storage}/content":            allocateContent,
	"GET /nodes/{node}/storage/{storage}/content/{volume}":    readVolume,
	"PUT /nodes/{node}/storage/{storage}/content/{volume}":    updateVolume,
	"DELETE /nodes/{node}/storage/{storage}/content/{volume}": deleteVolume,
	"POST /nodes/{node}/storage/{storage}/upload":             uploadFile,
	"POST /nodes/{node}/storage/{storage}/download-url":       downloadURL,
	"GET /nodes/{node}/query-url-metadata":                    queryURL,
}

func (req *call) seesStorage(name string) bool {
	return req.canAny("/storage/"+name, "Datastore.Audit", "Datastore.AllocateSpace")
}

// storageDigest is the checksum of the whole storage configuration.
func (s *state) storageDigest() string {
	var text strings.Builder
	for _, name := range sortedKeys(s.Storages) {
		text.WriteString(s.Storages[name].Type + ": " + name + "\n")
		for _, k := range sortedKeys(s.Storages[name].Options) {
			text.WriteString("\t" + k + " " + s.Storages[name].Options[k] + "\n")
		}
	}
	return digestOf(text.String())
}

func digestOf(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (s *state) showStorage(name string) map[string]any {
	st := s.Storages[name]
	result := map[string]any{"storage": name, "type": st.Type, "digest": s.storageDigest()}
	for k, v := range st.Options {
		result[k] = v
		if k == "shared" || k == "disable" {
			result[k] = 1
		}
	}
	return result
}

func listStorages(req *call) (any, error) {
	result := []any{}
	for _, name := range sortedKeys(req.state.Storages) {
		wanted := !req.p.has("type") || req.p["type"] == req.state.Storages[name].Type
		if wanted && req.seesStorage(name) {
			result = append(result, req.state.showStorage(name))
		}
	}
	return result, nil
}

func readStorage(req *call) (any, error) {
	if err := req.storageExists(); err != nil {
		return nil, err
	}
	return req.state.showStorage(req.p["storage"]), nil
}

func (req *call) storageExists() error {
	if req.state.Storages[req.p["storage"]] == nil {
		return fail("storage '%s' does not exist", req.p["storage"])
	}
	return nil
}

// requiredOptions are the options without which a storage of a type cannot be made.
var requiredOptions = map[string][]string{
	"dir": {"path"}, "nfs": {"server", "export"}, "cifs": {"server", "share"}, "lvm": {"vgname"},
	"lvmthin": {"vgname", "thinpool"}, "zfspool": {"pool"}, "pbs": {"server", "datastore"}, "rbd": {"pool"},
}

func createStorage(req *call) (any, error) {
	name, kind := req.p["storage"], req.p["type"]
	if req.state.Storages[name] != nil {
		return nil, fail("create storage failed: storage ID '%s' already defined", name)
	}
	for _, option := range requiredOptions[kind] {
		if !req.p.has(option) {
			return nil, fail("missing value for required option '%s'", option)
		}
	}
	st := &storage{Type: kind, Size: 250 * gib, Options: maps.Clone(req.p)}
	delete(st.Options, "storage")
	delete(st.Options, "type")
	if st.Options["content"] == "" {
		st.Options["content"] = "images,rootdir"
	}
	if kind == "nfs" || kind == "cifs" {
		st.Options["path"] = "/mnt/pve/" + name
	}
	req.state.Storages[name] = st
	return map[string]any{"storage": name, "type": kind}, nil
}

func updateStorage(req *call) (any, error) {
	if err := req.storageExists(); err != nil {
		return nil, err
	}
	st := req.state.Storages[req.p["storage"]]
	for _, key := range splitList(req.p["delete"]) {
		delete(st.Options, key)
	}
	for k, v := range req.p {
		if k != "storage" && k != "delete" && k != "digest" {
			st.Options[k] = v
		}
	}
	return map[string]any{"storage": req.p["storage"], "type": st.Type}, nil
}

func deleteStorage(req *call) (any, error) {
	name := req.p["storage"]
	if req.state.Storages[name] == nil {
		return nil, fail("delete storage failed: storage '%s' does not exist", name)
	}
	delete(req.state.Storages, name)
	maps.DeleteFunc(req.state.Volumes, func(_ string, v *volume) bool { return v.storage() == name })
	return nil, nil
}

// usage is the space taken on a storage as one node sees it.
func (s *state) usage(name, node string) (used, total int64) {
	st := s.Storages[name]
	home := st.home(node)
	for _, v := range s.Volumes {
		if v.storage() == name && v.Node == home {
			used += v.Size
		}
	}
	if st.fileBased() {
		used += 4 * gib // the system's own files
	}
	return used, st.Size
}

func (s *state) storageState(name, node string) map[string]any {
	st := s.Storages[name]
	used, total := s.usage(name, node)
	return map[string]any{
		"content": st.Options["content"], "type": st.Type, "shared": flag(st.shared()), "enabled": 1, "active": 1,
		"used": used, "total": total, "avail": max(total-used, 0),
	}
}

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func listNodeStorages(req *call) (any, error) {
	result := []any{}
	for _, name := range sortedKeys(req.state.Storages) {
		st := req.state.Storages[name]
		if !req.seesStorage(name) || !st.availableOn(req.p["node"]) || !req.wantsStorage(name, st) {
			continue
		}
		entry := req.state.storageState(name, req.p["node"])
		entry["storage"] = name
		entry["used_fraction"] = float64(entry["used"].(int64)) / float64(max(entry["total"].(int64), 1))
		result = append(result, entry)
	}
	return result, nil
}

func (req *call) wantsStorage(name string, st *storage) bool {
	if req.p.has("storage") && req.p["storage"] != name {
		return false
	}
	for _, content := range splitList(req.p["content"]) {
		if st.holds(content) {
			return true
		}
	}
	return !req.p.has("content")
}

func storageStatus(req *call) (any, error) {
	st := req.state.Storages[req.p["storage"]]
	if st == nil || !st.availableOn(req.p["node"]) {
		return nil, badParam("storage", "No such storage.")
	}
	return req.state.storageState(req.p["storage"], req.p["node"]), nil
}

// usableStorage returns a storage that may take a content type on a node.
func (s *state) usableStorage(name, node, content string) (*storage, error) {
	st := s.Storages[name]
	if st == nil {
		return nil, fail("storage '%s' does not exist", name)
	}
	if !st.availableOn(node) {
		return nil, fail("storage '%s' is not available on node '%s'", name, node)
	}
	if !st.holds(content) {
		return nil, fail("storage '%s' does not support content-type '%s'", name, content)
	}
	return st, nil
}

// diskName finds the lowest free number for a disk of a guest, bases included.
func (s *state) diskName(st *storage, name, node string, vmid int, format string) string {
	for n := 0; ; n++ {
		stem := "vm-" + strconv.Itoa(vmid) + "-disk-" + strconv.Itoa(n)
		base := strings.Replace(stem, "vm-", "base-", 1)
		if !s.nameTaken(st, name, node, stem) && !s.nameTaken(st, name, node, base) {
			return imageID(st, name, vmid, stem, format)
		}
	}
}

func (s *state) nameTaken(st *storage, name, node, stem string) bool {
	home := st.home(node)
	for _, v := range s.Volumes {
		if v.storage() != name || v.Node != home {
			continue
		}
		if stemOf(v.ID) == stem {
			return true
		}
	}
	return false
}

// stemOf is a volume's file name without its folder and format.
func stemOf(volid string) string {
	name := volid[strings.LastIndexAny(volid, ":/")+1:]
	stem, _, _ := strings.Cut(name, ".")
	return stem
}

func imageID(st *storage, name string, vmid int, stem, format string) string {
	if st.fileBased() {
		return name + ":" + strconv.Itoa(vmid) + "/" + stem + "." + format
	}
	return name + ":" + stem
}
