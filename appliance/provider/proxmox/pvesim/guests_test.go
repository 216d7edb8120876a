package pvesim

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestMachineLifecycle makes, changes, starts, changes while running, stops and destroys a machine.
func TestMachineLifecycle(t *testing.T) {
	t.Parallel()
	h := small(t)
	const vm = "/nodes/pve1/qemu/100"
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&name=web&memory=1024&cores=2&scsi0=local-lvm:8,ssd=1&ide2=local:cloudinit&net0=virtio,bridge=vmbr0&agent=1&tags=b;a&start=1")
	config := h.object(vm + "/config")
	for key, want := range map[string]any{"scsi0": "local-lvm:vm-100-disk-0,size=8G,ssd=1", "ide2": "local:100/vm-100-cloudinit.qcow2,media=cdrom", "boot": "order=scsi0;ide2;net0", "tags": "a;b", "cores": 2.0, "memory": "1024"} {
		if config[key] != want {
			t.Errorf("%s: want %v, got %v", key, want, config[key])
		}
	}
	h.ok("PUT", vm+"/config", "memory=2048&description=later&delete=cores")
	if got := h.object(vm + "/config?current=1"); got["memory"] != "1024" || got["cores"] != 2.0 || got["description"] != "later" {
		t.Errorf("while running: %v", got)
	}
	if got := h.object(vm + "/config"); got["memory"] != "2048" || got["cores"] != nil {
		t.Errorf("to come: %v", got)
	}
	h.ended("VM 100 already running", h.root("POST", vm+"/status/start", ""))
	h.ok("POST", vm+"/status/reboot", "")
	if got := h.object(vm + "/config?current=1"); got["memory"] != "2048" || got["cores"] != nil {
		t.Errorf("after the reboot: %v", got)
	}
	h.ok("POST", vm+"/status/suspend", "")
	if got := h.object(vm + "/status/current")["qmpstatus"]; got != "paused" {
		t.Errorf("paused machine is %v", got)
	}
	h.ok("POST", vm+"/status/shutdown", "")
	h.refused("500 VM 100 not running", h.root("POST", vm+"/status/resume", ""))
	h.ok("PUT", vm+"/config", "protection=1")
	h.refused("500 can't remove VM 100 - protection mode enabled", h.root("DELETE", vm, ""))
	h.must("PUT", vm+"/config", "protection=0&lock=backup")
	h.refused("500 VM is locked (backup)", h.root("PUT", vm+"/config", "memory=512"))
	h.ended("VM is locked (backup)", h.root("POST", vm+"/status/start", ""))
	h.must("PUT", vm+"/config", "delete=lock&skiplock=1")
	h.ok("DELETE", vm, "purge=1")
}

// TestDisks attaches, detaches, destroys, grows and moves disks.
func TestDisks(t *testing.T) {
	t.Parallel()
	h := small(t)
	const vm = "/nodes/pve1/qemu/100"
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local:1,format=qcow2&scsi1=local:2")
	h.ok("PUT", vm+"/config", "delete=scsi1")
	if got := h.object(vm + "/config"); got["scsi1"] != nil || got["unused0"] != "local:100/vm-100-disk-1.raw" {
		t.Errorf("after detaching: %v", got)
	}
	h.ok("PUT", vm+"/config", "scsi2=local:100/vm-100-disk-1.raw")
	if got := h.object(vm + "/config"); got["unused0"] != nil || got["scsi2"] != "local:100/vm-100-disk-1.raw,size=2G" {
		t.Errorf("after attaching again: %v", got)
	}
	h.ended("disk 'scsi9' does not exist", h.root("PUT", vm+"/resize", "disk=scsi9&size=%2B1G"))
	h.ended("shrinking disks is not supported", h.root("PUT", vm+"/resize", "disk=scsi2&size=1G"))
	h.ok("PUT", vm+"/resize", "disk=scsi2&size=%2B512M")
	if got := h.object(vm + "/config")["scsi2"]; got != "local:100/vm-100-disk-1.raw,size=2560M" {
		t.Errorf("after growing: %v", got)
	}
	h.refused("500 you can't move to the same storage with same format", h.root("POST", vm+"/move_disk", "disk=scsi2&storage=local"))
	h.ok("POST", vm+"/move_disk", "disk=scsi2&storage=local-lvm&delete=1")
	h.ok("PUT", vm+"/unlink", "idlist=scsi0&force=1")
	var left []string
	for _, storage := range []string{"local", "local-lvm"} {
		for _, v := range h.list("/nodes/pve1/storage/" + storage + "/content?vmid=100") {
			left = append(left, v.(map[string]any)["volid"].(string))
		}
	}
	if fmt.Sprint(left) != "[local-lvm:vm-100-disk-0]" {
		t.Errorf("left: %v", left)
	}
	h.refused("500 Linked clone feature is not supported for 'local-lvm:vm-100-disk-0' (scsi2)", h.root("POST", vm+"/clone", "newid=101&full=0"))
	h.ok("DELETE", vm, "")
	if n := len(h.list("/nodes/pve1/storage/local-lvm/content")); n != 0 {
		t.Errorf("%d volumes outlive their guest", n)
	}
}

// TestStorageFills: allocations count against the storage's size.
func TestStorageFills(t *testing.T) {
	t.Parallel()
	h := small(t)
	a := h.root("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local-lvm:500&scsi1=local-lvm:400")
	if exit := h.exit(a); !strings.HasPrefix(exit, "unable to create VM 100 - unable to create image: not enough free space on storage 'local-lvm'") {
		t.Errorf("got %q", exit)
	}
	h.ok("POST", "/nodes/pve1/storage/local-lvm/content", "vmid=100&filename=vm-100-disk-7&size=1G")
	a = h.root("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local-lvm:vm-100-disk-7&scsi1=local-lvm:1&scsi2=local-lvm:900")
	if exit := h.exit(a); !strings.HasPrefix(exit, "unable to create VM 100") {
		t.Errorf("got %q", exit)
	}
	if got := h.list("/nodes/pve1/storage/local-lvm/content"); len(got) != 1 {
		t.Errorf("only what was there before should be left, not %v", got)
	}
	h.ok("DELETE", "/nodes/pve1/storage/local-lvm/content/vm-100-disk-7", "")
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local-lvm:500")
	h.refused("500 unable to create image: not enough free space on storage 'local-lvm' (299.0 GiB of 800.0 GiB left)", h.root("PUT", "/nodes/pve1/qemu/100/config", "scsi1=local-lvm:1&scsi2=local-lvm:300"))
	if got := h.list("/nodes/pve1/storage/local-lvm/content"); len(got) != 1 {
		t.Errorf("a failed change left %v", got)
	}
	if got := h.object("/nodes/pve1/storage/local-lvm/status"); got["used"] != float64(500*gib) || got["avail"] != float64(300*gib) {
		t.Errorf("got %v", got)
	}
	if got := h.object("/nodes/pve2/storage/local-lvm/status"); got["used"] != 0.0 {
		t.Errorf("another node's local storage has %v", got)
	}
	h.refused("500 storage 'local-lvm' does not support content-type 'backup'", h.root("POST", "/nodes/pve1/vzdump", "vmid=100&storage=local-lvm"))
	a = h.root("PUT", "/nodes/pve1/qemu/100/resize", "disk=scsi0&size=900G")
	if exit := h.exit(a); !strings.HasPrefix(exit, "unable to resize image") {
		t.Errorf("got %q", exit)
	}
}

// TestTemplates makes a template, clones it linked and in full, and keeps it while a clone is based on it.
func TestTemplates(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&name=base&scsi0=local-lvm:0,import-from=local:import/cloud.qcow2&ide2=local-lvm:cloudinit&net0=virtio,bridge=vmbr0")
	h.ok("POST", "/nodes/pve1/qemu/100/template", "")
	if got := h.object("/nodes/pve1/qemu/100/config"); got["scsi0"] != "local-lvm:base-100-disk-0,size=3G" || got["template"] != 1.0 {
		t.Errorf("template: %v", got)
	}
	h.ended("you can't start a vm if it's a template", h.root("POST", "/nodes/pve1/qemu/100/status/start", ""))
	h.ok("POST", "/nodes/pve1/qemu/100/clone", "newid=101&name=linked")
	h.ok("POST", "/nodes/pve1/qemu/100/clone", "newid=102&name=full&full=1&storage=local&format=qcow2")
	linked, full := h.object("/nodes/pve1/qemu/101/config"), h.object("/nodes/pve1/qemu/102/config")
	if linked["scsi0"] != "local-lvm:base-100-disk-0/vm-101-disk-0,size=3G" || linked["ide2"] != "local-lvm:vm-101-cloudinit,media=cdrom" {
		t.Errorf("linked clone: %v", linked)
	}
	if full["scsi0"] != "local:102/vm-102-disk-0.qcow2,size=3G" || full["template"] != nil {
		t.Errorf("full clone: %v", full)
	}
	if linked["net0"] == full["net0"] || linked["smbios1"] == full["smbios1"] {
		t.Error("two clones share an identity")
	}
	h.ended("base volume 'local-lvm:base-100-disk-0' is still in use by linked cloned", h.root("DELETE", "/nodes/pve1/qemu/100", ""))
	h.ok("DELETE", "/nodes/pve1/qemu/101", "")
	h.ok("DELETE", "/nodes/pve1/qemu/100", "")
	h.refused("500 can't clone to non-shared storage 'local-lvm'", h.root("POST", "/nodes/pve1/qemu/102/clone", "newid=103&target=pve2"))
}

func TestSnapshotRestores(t *testing.T) {
	t.Parallel()
	h := small(t)
	const vm = "/nodes/pve1/qemu/100"
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&memory=512&scsi0=local-lvm:1")
	h.ok("POST", vm+"/snapshot", "snapname=one&description=first")
	h.ok("PUT", vm+"/config", "memory=1024")
	h.ok("PUT", vm+"/resize", "disk=scsi0&size=4G")
	h.ok("POST", vm+"/snapshot", "snapname=two")
	h.ok("PUT", vm+"/snapshot/two/config", "description=second")
	if got := h.object(vm + "/config?snapshot=one")["memory"]; got != "512" {
		t.Errorf("the first snapshot has memory %v", got)
	}
	h.ok("DELETE", vm+"/snapshot/one", "")
	snaps := h.list(vm + "/snapshot")
	two := snaps[0].(map[string]any)
	if len(snaps) != 2 || two["description"] != "second" || two["parent"] != nil {
		t.Errorf("got %v", snaps)
	}
	h.ok("PUT", vm+"/config", "memory=2048")
	h.ok("POST", vm+"/snapshot/two/rollback", "start=1")
	if got := h.object(vm + "/config"); got["memory"] != "1024" || got["scsi0"] != "local-lvm:vm-100-disk-0,size=4G" {
		t.Errorf("after rolling back: %v", got)
	}
	if got := h.object(vm + "/status/current")["status"]; got != "running" {
		t.Errorf("after rolling back: %v", got)
	}
	if got := h.object(vm + "/feature?feature=snapshot")["hasFeature"]; got != 1.0 {
		t.Errorf("feature: %v", got)
	}
}

func TestCloudInitDocuments(t *testing.T) {
	t.Parallel()
	h := small(t)
	const vm = "/nodes/pve1/qemu/100"
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&name=web&net0=virtio,bridge=vmbr0")
	h.refused("500 no cloudinit drive found", h.root("PUT", vm+"/cloudinit", ""))
	h.ok("PUT", vm+"/config", "ide2=local:cloudinit&ciuser=ops&sshkeys=ssh-ed25519%2520AAAA%2520ops&ipconfig0=ip%3D10.0.0.5/24,gw%3D10.0.0.1&nameserver=10.0.0.1&searchdomain=lab.test&cipassword=hidden")
	h.ok("PUT", vm+"/cloudinit", "")
	user := h.ok("GET", vm+"/cloudinit/dump?type=user", "").(string)
	network := h.ok("GET", vm+"/cloudinit/dump?type=network", "").(string)
	for _, want := range []string{"hostname: web\n", "fqdn: web.lab.test\n", "user: ops\n", "  - ssh-ed25519 AAAA ops\n"} {
		if !strings.Contains(user, want) {
			t.Errorf("%q is not in\n%s", want, user)
		}
	}
	if !strings.Contains(network, "address: '10.0.0.5/24'") || !strings.Contains(network, "gateway: '10.0.0.1'") {
		t.Errorf("got\n%s", network)
	}
	if got := h.object(vm + "/config")["cipassword"]; got != "**********" {
		t.Errorf("the password shows as %v", got)
	}
	h.ok("PUT", vm+"/config", "delete=ide2")
	if n := len(h.list("/nodes/pve1/storage/local/content?vmid=100")); n != 0 {
		t.Errorf("%d cloud-init volumes are left", n)
	}
}

func TestGuestAgent(t *testing.T) {
	t.Parallel()
	h := small(t)
	const ask = "/nodes/pve1/qemu/100/agent/network-get-interfaces"
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&net0=virtio,bridge=vmbr0&ipconfig0=ip%3D10.0.0.5/24")
	h.refused("500 No QEMU guest agent configured", h.root("GET", ask, ""))
	h.ok("PUT", "/nodes/pve1/qemu/100/config", "agent=enabled%3D1,type%3Dvirtio")
	h.refused("500 VM 100 is not running", h.root("GET", ask, ""))
	h.ok("POST", "/nodes/pve1/qemu/100/status/start", "")
	h.refused("500 QEMU guest agent is not running", h.root("GET", ask, ""))
	if err := h.c.SetGuestAgent(100, true); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(h.object(ask)["result"])
	if !strings.Contains(got, "10.0.0.5") || !strings.Contains(got, "bc:24:11:") {
		t.Errorf("got %s", got)
	}
	h.ok("POST", "/nodes/pve1/qemu/100/agent/ping", "")
}

func TestMigration(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local-lvm:1")
	if got := fmt.Sprint(h.object("/nodes/pve1/qemu/100/migrate")["allowed_nodes"]); got != "[pve2 pve3]" {
		t.Errorf("allowed: %s", got)
	}
	h.ok("POST", "/nodes/pve1/qemu/100/migrate", "target=pve2")
	h.ok("POST", "/nodes/pve2/qemu/100/status/start", "")
	h.refused("500 can't migrate running VM without --online", h.root("POST", "/nodes/pve2/qemu/100/migrate", "target=pve3"))
	if n := len(h.list("/nodes/pve1/storage/local-lvm/content")) + 2*len(h.list("/nodes/pve2/storage/local-lvm/content")); n != 2 {
		t.Errorf("the disk did not move: %d", n)
	}
}

func TestContainerLifecycle(t *testing.T) {
	t.Parallel()
	h := small(t)
	const ct = "/nodes/pve1/lxc/200"
	h.ok("POST", "/nodes/pve1/lxc", "vmid=200&ostemplate=local:vztmpl/debian-13.tar.zst&hostname=ct&rootfs=local-lvm:4&mp0=local-lvm:1,mp%3D/data&net0=name%3Deth0,bridge%3Dvmbr0,ip%3Ddhcp&start=1")
	config := h.object(ct + "/config")
	if config["rootfs"] != "local-lvm:vm-200-disk-1,size=4G" && config["rootfs"] != "local-lvm:vm-200-disk-0,size=4G" || config["ostype"] != "debian" {
		t.Errorf("got %v", config)
	}
	if n := len(h.list(ct + "/interfaces")); n != 2 {
		t.Errorf("%d interfaces", n)
	}
	h.refused("500 CT 200 already running", h.root("POST", ct+"/status/start", ""))
	h.refused("500 unable to destroy CT 200 - container is running", h.root("DELETE", ct, ""))
	h.ok("PUT", ct+"/config", "memory=1024&tags=x")
	h.ok("PUT", ct+"/resize", "disk=rootfs&size=%2B1G")
	if got := h.object(ct + "/config"); !strings.HasSuffix(got["rootfs"].(string), ",size=5G") || got["memory"] != 1024.0 {
		t.Errorf("got %v", got)
	}
	h.ok("POST", ct+"/snapshot", "snapname=s1")
	h.ok("POST", ct+"/snapshot/s1/rollback", "")
	h.refused("500 CT 200 not running", h.root("POST", ct+"/status/shutdown", ""))
	h.ok("DELETE", ct+"/snapshot/s1", "")
	h.ok("POST", ct+"/clone", "newid=201&full=1&hostname=copy")
	if got := h.object("/nodes/pve1/lxc/201/config"); got["hostname"] != "copy" || got["net0"] == config["net0"] {
		t.Errorf("got %v", got)
	}
	h.ok("DELETE", ct, "purge=1")
	h.refused("500 Configuration file 'nodes/pve1/lxc/200.conf' does not exist", h.root("GET", ct+"/config", ""))
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&name=web&scsi0=local-lvm:2")
	h.ok("POST", "/nodes/pve1/vzdump", "vmid=100&storage=local")
	archive := h.list("/nodes/pve1/storage/local/content?content=backup")[0].(map[string]any)["volid"].(string)
	h.ok("POST", "/nodes/pve1/qemu", "vmid=101&archive="+archive)
	if got := h.object("/nodes/pve1/qemu/101/config"); got["name"] != "web" || got["scsi0"] != "local-lvm:vm-101-disk-0,size=2G" {
		t.Errorf("got %v", got)
	}
	h.refused("500 unable to create VM 100 - VM 100 already exists on node 'pve1'", h.root("POST", "/nodes/pve1/qemu", "vmid=100&archive="+archive))
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&force=1&archive="+archive)
}

func TestUploadChecksum(t *testing.T) {
	t.Parallel()
	h := small(t)
	e := recorded{Parts: []struct {
		Name     string `json:"name"`
		Filename string `json:"filename"`
		Value    string `json:"value"`
		Size     int    `json:"size"`
	}{
		{Name: "content", Value: "iso"}, {Name: "checksum-algorithm", Value: "sha256"},
		{Name: "checksum", Value: "5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef"}, {Name: "filename", Filename: "a.iso", Size: 512},
	}}
	send := func() answer {
		kind, body := e.multipart(t)
		return h.do(exchange{method: "POST", path: "/api2/json/nodes/pve1/storage/local/upload", contentType: kind, body: body, auth: h.asToken("root@pam!auto")})
	}
	if exit := h.exit(send()); !strings.HasPrefix(exit, "import failed: checksum mismatch: got '076a27c79e5ace2a3d47f9dd2e83e4ff6ea8872b3c2218f66c92b89b55f36560'") {
		t.Errorf("got %q", exit)
	}
	e.Parts[2].Value = "076a27c79e5ace2a3d47f9dd2e83e4ff6ea8872b3c2218f66c92b89b55f36560" // of 512 zeros
	h.ended("OK", send())
	if got := h.object("/nodes/pve1/storage/local/content/local:iso/a.iso"); got["size"] != 512.0 {
		t.Errorf("got %v", got)
	}
}

// TestInventedDownload: without Config.Fetch nothing is asked; the size follows from the address.
func TestInventedDownload(t *testing.T) {
	t.Parallel()
	h := small(t)
	const address = "https://cloud.debian.org/images/x.qcow2"
	meta := h.object("/nodes/pve1/query-url-metadata?url=" + address)
	h.ok("POST", "/nodes/pve1/storage/local/download-url", "content=import&filename=x.qcow2&url="+address)
	got := h.list("/nodes/pve1/storage/local/content?content=import")[1].(map[string]any)
	if got["size"] != meta["size"] || meta["filename"] != "x.qcow2" {
		t.Errorf("metadata %v, file %v", meta, got)
	}
	h.refused("500 refusing to override existing file '/var/lib/vz/import/x.qcow2'", h.root("POST", "/nodes/pve1/storage/local/download-url", "content=import&filename=x.qcow2&url="+address))
	if a := h.root("POST", "/nodes/pve1/storage/local/download-url", "content=iso&filename=x.exe&url="+address); a.status != http.StatusBadRequest {
		t.Errorf("an .exe was taken for an ISO: %d", a.status)
	}
	h.ok("POST", "/nodes/pve1/qemu", "vmid=100&scsi0=local-lvm:0,import-from=local:import/x.qcow2")
}

func TestFirewallSets(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.foreign(ForeignGuest{VMID: 100})
	for _, base := range []string{"/cluster/firewall", "/nodes/pve1/qemu/100/firewall"} {
		h.ok("POST", base+"/aliases", "name=web&cidr=10.0.0.5")
		h.ok("PUT", base+"/aliases/web", "cidr=10.0.0.6&rename=www")
		if got := h.object(base + "/aliases/www"); got["cidr"] != "10.0.0.6" || got["ipversion"] != 4.0 {
			t.Errorf("alias %v", got)
		}
		h.ok("POST", base+"/ipset", "name=blocked")
		h.ok("POST", base+"/ipset/blocked", "cidr=10.0.0.0/8&nomatch=1")
		h.refused("400 Parameter verification failed.", h.root("POST", base+"/ipset/blocked", "cidr=10.0.0.0/8"))
		h.refused("500 IPSet 'blocked' is not empty", h.root("DELETE", base+"/ipset/blocked", ""))
		h.ok("PUT", base+"/ipset/blocked/10.0.0.0%2F8", "comment=all")
		if got := h.object(base + "/ipset/blocked/10.0.0.0%2F8"); got["comment"] != "all" {
			t.Errorf("entry %v", got)
		}
		h.ok("DELETE", base+"/ipset/blocked/10.0.0.0%2F8", "")
		h.ok("DELETE", base+"/ipset/blocked", "")
		h.ok("DELETE", base+"/aliases/www", "")
	}
	h.ok("POST", "/cluster/firewall/groups", "group=ssh&comment=c")
	h.ok("POST", "/cluster/firewall/groups/ssh", "type=in&action=ACCEPT&proto=tcp&dport=22")
	h.refused("500 Security group 'ssh' is not empty", h.root("DELETE", "/cluster/firewall/groups/ssh", ""))
	h.ok("DELETE", "/cluster/firewall/groups/ssh/0", "")
	h.ok("DELETE", "/cluster/firewall/groups/ssh", "")
	h.ok("PUT", "/nodes/pve1/firewall/options", "enable=1")
	h.ok("POST", "/nodes/pve1/firewall/rules", "type=in&action=DROP")
}

func TestNetworksAndSDN(t *testing.T) {
	t.Parallel()
	h := small(t)
	h.ok("POST", "/nodes/pve1/network", "iface=vmbr5&type=bridge&cidr=10.5.0.1/24")
	h.ok("DELETE", "/nodes/pve1/network", "")
	h.refused("400 Parameter verification failed.", h.root("GET", "/nodes/pve1/network/vmbr5", ""))
	h.ok("POST", "/nodes/pve1/network", "iface=vmbr5&type=bridge")
	h.ok("PUT", "/nodes/pve1/network", "")
	if got := h.object("/nodes/pve1/network/vmbr5")["bridge_stp"]; got != "off" {
		t.Errorf("got %v", got)
	}
	h.ok("POST", "/cluster/sdn/zones", "zone=z1&type=simple")
	h.ok("POST", "/cluster/sdn/vnets", "vnet=vn1&zone=z1")
	h.ok("POST", "/cluster/sdn/vnets/vn1/subnets", "subnet=10.6.0.0/24&type=subnet&gateway=10.6.0.1")
	if got := h.object("/cluster/sdn/zones/z1?pending=1")["state"]; got != "new" {
		t.Errorf("before applying: %v", got)
	}
	h.ok("PUT", "/cluster/sdn", "")
	if got := h.object("/cluster/sdn/vnets/vn1/subnets/z1-10.6.0.0-24"); got["gateway"] != "10.6.0.1" || got["cidr"] != "10.6.0.0/24" {
		t.Errorf("subnet %v", got)
	}
	h.refused("500 delete sdn zone object failed: zone z1 is used by vnet vn1", h.root("DELETE", "/cluster/sdn/zones/z1", ""))
	h.refused("500 delete sdn vnet object failed: Can't delete vnet if subnets exists", h.root("DELETE", "/cluster/sdn/vnets/vn1", ""))
	h.ok("DELETE", "/cluster/sdn/vnets/vn1/subnets/z1-10.6.0.0-24", "")
	h.ok("DELETE", "/cluster/sdn/vnets/vn1", "")
	h.ok("DELETE", "/cluster/sdn/zones/z1", "")
}

// TestEveryListAnswers asks every method without parameters of its own that takes none, on a
// cluster with guests, and expects a success: no claimed method is a hole.
func TestEveryListAnswers(t *testing.T) {
	t.Parallel()
	h := small(t, func(cfg *Config) { cfg.Guests = 8 })
	h.ok("POST", "/cluster/sdn/zones", "zone=z1&type=simple")
	h.ok("POST", "/cluster/sdn/vnets", "vnet=vn1&zone=z1")
	values := strings.NewReplacer("{node}", "pve1", "{storage}", "local", "{service}", "sshd", "{roleid}", "PVEAdmin", "{userid}", "root@pam", "{zone}", "z1", "{vnet}", "vn1", "{iface}", "vmbr0", "{tokenid}", "auto")
	asked := 0
	for claim, schema := range schemas() {
		path, isGet := strings.CutPrefix(claim, "GET ")
		path = values.Replace(path)
		if strings.Contains(path, "/qemu/{vmid}") {
			path = strings.Replace(path, "{vmid}", "100", 1)
			path = strings.Replace(path, "pve1", "pve1", 1)
		}
		path = strings.Replace(path, "/lxc/{vmid}", "/lxc/103", 1)
		if !isGet || strings.Contains(path, "{") || strings.Contains(path, "/agent/") || strings.Contains(path, "/lxc/103") {
			continue
		}
		query := ""
		if schema.Params["timeframe"] != nil {
			query = "?timeframe=day"
		}
		if schema.Params["type"] != nil && !schema.Params["type"].Optional {
			query = "?type=user"
		}
		if schema.Params["feature"] != nil {
			query = "?feature=clone"
		}
		if strings.HasSuffix(path, "query-url-metadata") {
			query = "?url=http://example.org/a.iso"
		}
		if strings.HasSuffix(path, "vncwebsocket") {
			query = "?port=5900&vncticket=" + strings.Repeat("x", 10)
		}
		if a := h.root("GET", path+query, ""); a.status != http.StatusOK {
			t.Errorf("%s: %d %s %s", path, a.status, a.reason, a.body)
		}
		asked++
	}
	if asked < 60 {
		t.Errorf("only %d methods were asked", asked)
	}
}
