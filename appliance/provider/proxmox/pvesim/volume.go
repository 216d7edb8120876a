package pvesim

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// volume is one image or file of a storage. Node is "" on shared storages.
type volume struct {
	ID, Node, Content, Format string
	Size                      int64 // virtual for images, of the file for all else
	Virtual                   int64 // of the disk inside an import file
	VMID                      int
	CTime                     int64
	Parent                    string // volume that a linked clone is based on
	Notes                     string
	Protected                 bool
	Config                    map[string]string // of the guest in a backup
	Kind                      string            // of the guest in a backup
}

func (v *volume) storage() string {
	name, _, _ := strings.Cut(v.ID, ":")
	return name
}

func volumeKey(node, id string) string { return node + "|" + id }

// volume finds a volume as seen from a node, or nil.
func (s *state) volume(node, id string) *volume {
	name, _, _ := strings.Cut(id, ":")
	st := s.Storages[name]
	if st == nil {
		return nil
	}
	return s.Volumes[volumeKey(st.home(node), canonicalID(id))]
}

// canonicalID drops the base part that a linked clone's identifier starts with.
func canonicalID(id string) string {
	name, rest, _ := strings.Cut(id, ":")
	parts := strings.Split(rest, "/")
	if len(parts) == 4 {
		return name + ":" + parts[2] + "/" + parts[3]
	}
	if len(parts) == 2 && strings.HasPrefix(parts[0], "base-") {
		return name + ":" + parts[1]
	}
	return id
}

func (s *state) addVolume(v *volume) { s.Volumes[volumeKey(v.Node, canonicalID(v.ID))] = v }

func (s *state) removeVolume(node, id string) {
	if v := s.volume(node, id); v != nil {
		delete(s.Volumes, volumeKey(v.Node, canonicalID(v.ID)))
	}
}

// allocate makes a new disk image. Thin or not, its whole size counts against the storage.
func (s *state) allocate(node, name string, vmid int, size int64, format, content string, now time.Time) (*volume, error) {
	st, err := s.usableStorage(name, node, content)
	if err != nil {
		return nil, err
	}
	if used, total := s.usage(name, node); used+size > total {
		return nil, fmt.Errorf("unable to create image: not enough free space on storage '%s' (%s of %s left)", name, readableSize(max(total-used, 0)), readableSize(total))
	}
	if format == "" || !st.fileBased() {
		format = "raw"
	}
	v := &volume{
		ID: s.diskName(st, name, node, vmid, format), Node: st.home(node), Content: content, Format: format,
		Size: size, VMID: vmid, CTime: now.Unix(),
	}
	s.addVolume(v)
	return v, nil
}

// created is the log line that making an image leaves.
func (s *state) created(v *volume) string {
	st := s.Storages[v.storage()]
	file := s.filePath(v)
	switch {
	case !st.fileBased():
		return fmt.Sprintf("  Logical volume %q created.", stemOf(v.ID))
	case v.Format == "raw":
		return fmt.Sprintf("Formatting '%s', fmt=raw size=%d preallocation=off", file, v.Size)
	case v.Parent != "":
		return fmt.Sprintf("Formatting '%s', fmt=qcow2 cluster_size=131072 extended_l2=on preallocation=metadata compression_type=zlib size=%d backing_file=../%s backing_fmt=%s lazy_refcounts=off refcount_bits=16", file, v.Size, afterColon(v.Parent), strings.TrimPrefix(path.Ext(v.Parent), "."))
	}
	return fmt.Sprintf("Formatting '%s', fmt=%s cluster_size=65536 extended_l2=off preallocation=metadata compression_type=zlib size=%d lazy_refcounts=off refcount_bits=16", file, v.Format, v.Size)
}

func afterColon(id string) string {
	_, rest, _ := strings.Cut(id, ":")
	return rest
}

// folders are where a directory storage keeps a content type.
var folders = map[string]string{
	"iso": "template/iso", "vztmpl": "template/cache", "import": "import", "snippets": "snippets", "backup": "dump",
}

func (s *state) filePath(v *volume) string {
	st := s.Storages[v.storage()]
	if !st.fileBased() {
		return "/dev/" + st.Options["vgname"] + "/" + afterColon(v.ID)
	}
	if folder := folders[v.Content]; folder != "" {
		return st.Options["path"] + "/" + folder + "/" + path.Base(v.ID)
	}
	return st.Options["path"] + "/images/" + afterColon(canonicalID(v.ID))
}

// addImage puts a file into its storage on every node.
func (s *state) addImage(image Image, now time.Time) {
	name, rest, _ := strings.Cut(image.Volume, ":")
	content, _, _ := strings.Cut(rest, "/")
	st := s.Storages[name]
	if st == nil {
		return
	}
	for node := range s.Nodes {
		s.addVolume(newFile(image.Volume, st.home(node), content, image.Size, now))
	}
}

func newFile(id, home, content string, size int64, now time.Time) *volume {
	v := &volume{ID: id, Node: home, Content: content, Format: fileFormat(id, content), Size: size, CTime: now.Unix()}
	if content == "import" {
		v.Virtual = inventedDisk(size)
	}
	return v
}

// inventedDisk is the disk size that an image of unknown content is said to hold: eight times its
// file, in whole GiB.
func inventedDisk(size int64) int64 { return max((size*8+gib-1)/gib, 1) * gib }

// fileFormat is the format that listings show for a file.
func fileFormat(id, content string) string {
	switch {
	case content == "iso":
		return "iso"
	case content == "snippets":
		return "snippet"
	case content == "vztmpl" || content == "backup":
		return "t" + archiveSuffix(id)
	}
	return strings.TrimPrefix(path.Ext(id), ".")
}

func archiveSuffix(id string) string {
	switch path.Ext(id) {
	case ".zst":
		return "zst"
	case ".gz":
		return "gz"
	case ".xz":
		return "xz"
	}
	return "ar"
}

// entry is a volume as content listings show it.
func (s *state) entry(v *volume) map[string]any {
	result := map[string]any{"volid": v.ID, "content": v.Content, "format": v.Format, "size": v.Size, "ctime": v.CTime}
	if v.VMID != 0 {
		result["vmid"] = v.VMID
	}
	if v.Notes != "" {
		result["notes"] = v.Notes
	}
	if v.Protected {
		result["protected"] = 1
	}
	if v.Content == "images" || v.Content == "rootdir" {
		result["used"], result["parent"] = v.used(), nil
		if v.Parent != "" {
			result["parent"] = "../" + afterColon(v.Parent)
		}
	}
	return result
}

// used is what a sparse image really takes: a tenth, in whole blocks.
func (v *volume) used() int64 { return (v.Size/10 + 4095) / 4096 * 4096 }

func listContent(req *call) (any, error) {
	if err := req.contentReadable(); err != nil {
		return nil, err
	}
	home := req.state.Storages[req.p["storage"]].home(req.p["node"])
	result := []any{}
	for _, key := range sortedKeys(req.state.Volumes) {
		v := req.state.Volumes[key]
		wanted := v.storage() == req.p["storage"] && v.Node == home && (!req.p.has("content") || v.Content == req.p["content"])
		if wanted && (!req.p.has("vmid") || v.VMID == req.p.int("vmid")) {
			result = append(result, req.state.entry(v))
		}
	}
	return result, nil
}

func (req *call) contentReadable() error {
	if err := req.storageExists(); err != nil {
		return err
	}
	return req.requireAny("/storage/"+req.p["storage"], "Datastore.Audit", "Datastore.AllocateSpace")
}

// requested is the volume of the path; its storage may be left out there.
func (req *call) requested() (*volume, error) {
	if err := req.storageExists(); err != nil {
		return nil, err
	}
	id := req.p["volume"]
	if !strings.Contains(id, ":") {
		id = req.p["storage"] + ":" + id
	}
	if v := req.state.volume(req.p["node"], id); v != nil {
		return v, nil
	}
	return nil, fail("volume '%s' does not exist", id)
}

func readVolume(req *call) (any, error) {
	v, err := req.requested()
	if err != nil {
		return nil, err
	}
	if err := req.contentReadable(); err != nil {
		return nil, err
	}
	format := v.Format
	if v.Content == "iso" {
		format = "raw"
	}
	result := map[string]any{"path": req.state.filePath(v), "format": format, "size": (v.Size + 511) / 512 * 512, "used": (v.Size + 4095) / 4096 * 4096}
	if v.Notes != "" {
		result["notes"] = v.Notes
	}
	return result, nil
}

func updateVolume(req *call) (any, error) {
	v, err := req.requested()
	if err != nil {
		return nil, err
	}
	if err := req.require("/storage/"+req.p["storage"], "Datastore.Allocate"); err != nil {
		return nil, err
	}
	if req.p.has("notes") {
		v.Notes = req.p["notes"]
	}
	if req.p.has("protected") {
		v.Protected = req.p.flag("protected")
	}
	return nil, nil
}

func deleteVolume(req *call) (any, error) {
	v, err := req.requested()
	if err != nil {
		return nil, err
	}
	if err := req.requireAny("/storage/"+req.p["storage"], "Datastore.Allocate", "Datastore.AllocateSpace", "Datastore.AllocateTemplate"); err != nil {
		return nil, err
	}
	if v.Protected {
		return nil, fail("can't remove volume '%s' - protection flag set", v.ID)
	}
	id := req.p["storage"]
	if v.VMID != 0 {
		id = strconv.Itoa(v.VMID) + "@" + id
	}
	node := req.p["node"]
	return req.start(job{kind: "imgdel", id: id, work: func(log func(string)) error {
		if owner := req.state.userOf(node, v.ID); owner != 0 {
			return fmt.Errorf("cannot remove image, a guest with VMID '%d' exists!", owner)
		}
		req.state.removeVolume(node, v.ID)
		log(fmt.Sprintf("Removed volume '%s'", v.ID))
		return nil
	}}), nil
}

// userOf is the guest whose configuration names a volume, or 0.
func (s *state) userOf(node, id string) int {
	for vmid, g := range s.Guests {
		for _, d := range g.volumes() {
			if g.Node == node && canonicalID(d) == canonicalID(id) {
				return vmid
			}
		}
	}
	return 0
}

// allocateContent is POST content: an image for a guest that may not exist yet.
func allocateContent(req *call) (any, error) {
	st, err := req.state.usableStorage(req.p["storage"], req.p["node"], "images")
	if err != nil {
		return nil, err
	}
	format := req.p["format"]
	if format == "" {
		format = "raw"
	}
	id := imageID(st, req.p["storage"], req.p.int("vmid"), stemOf(req.p["filename"]), format)
	if req.state.volume(req.p["node"], id) != nil {
		return nil, fail("disk image '%s' already exists", id)
	}
	size := parseSize(req.p["size"])
	if !slices.ContainsFunc([]string{"K", "M", "G", "T"}, func(u string) bool { return strings.HasSuffix(req.p["size"], u) }) {
		size <<= 10 // without a unit the size is in KiB
	}
	req.state.addVolume(&volume{
		ID: id, Node: st.home(req.p["node"]), Content: "images", Format: format, Size: size, VMID: req.p.int("vmid"), CTime: req.now().Unix(),
	})
	return id, nil
}

// qcow2Size reads the virtual size out of a qcow2 header (QEMU docs/interop/qcow2: bytes 24 to 31).
func qcow2Size(head []byte) int64 {
	if len(head) < 32 || string(head[:4]) != "QFI\xfb" {
		return 0
	}
	return int64(binary.BigEndian.Uint64(head[24:32]))
}
