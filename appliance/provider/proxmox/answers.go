package proxmox

import (
	"encoding/json"
	"strconv"
	"strings"
)

// number reads what Proxmox sends as a number, as a string that holds one, as
// a boolean, or not at all.
type number float64

// UnmarshalJSON implements json.Unmarshaler. What is no number reads as zero.
func (n *number) UnmarshalJSON(raw []byte) error {
	text := strings.Trim(string(raw), `"`)
	if text == "true" {
		*n = 1
		return nil
	}
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		value = 0
	}
	*n = number(value)
	return nil
}

// text reads a string that Proxmox may send as a number.
type text string

// UnmarshalJSON implements json.Unmarshaler.
func (t *text) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, (*string)(t))
	}
	if string(raw) != "null" {
		*t = text(raw)
	}
	return nil
}

// resource is one row of /cluster/resources.
type resource struct {
	ID          text   `json:"id"`
	Type        text   `json:"type"`
	Node        text   `json:"node"`
	Name        text   `json:"name"`
	Status      text   `json:"status"`
	Pool        text   `json:"pool"`
	Tags        text   `json:"tags"`
	Lock        text   `json:"lock"`
	HAState     text   `json:"hastate"`
	Storage     text   `json:"storage"`
	Content     text   `json:"content"`
	PluginType  text   `json:"plugintype"`
	Network     text   `json:"network"`
	NetworkType text   `json:"network-type"`
	SDN         text   `json:"sdn"`
	VMID        number `json:"vmid"`
	Template    number `json:"template"`
	Shared      number `json:"shared"`
	CPU         number `json:"cpu"`
	MaxCPU      number `json:"maxcpu"`
	Mem         number `json:"mem"`
	MaxMem      number `json:"maxmem"`
	Disk        number `json:"disk"`
	MaxDisk     number `json:"maxdisk"`
	Uptime      number `json:"uptime"`
}

// bridge is one row of /nodes/{node}/network.
type bridge struct {
	Iface   text   `json:"iface"`
	Type    text   `json:"type"`
	CIDR    text   `json:"cidr"`
	Ports   text   `json:"bridge_ports"`
	Comment text   `json:"comments"`
	VLANs   number `json:"bridge_vlan_aware"`
	Active  number `json:"active"`
}

// taskRow is one row of /cluster/tasks or the answer of a task's status.
type taskRow struct {
	UPID      text   `json:"upid"`
	Status    text   `json:"status"` // of a list: the exit status; of one task: running or stopped
	Exit      text   `json:"exitstatus"`
	StartTime number `json:"starttime"`
	EndTime   number `json:"endtime"`
}

// splitTags reads Proxmox's list of tags, separated by semicolons, commas or spaces.
func splitTags(list text) []string {
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == ';' || r == ',' || r == ' ' })
}

// properties reads "a=1,b=2", the form of Proxmox's composed options; a part
// without a name gets the key "".
func propertiesOf(value text) map[string]string {
	out := map[string]string{}
	for part := range strings.SplitSeq(string(value), ",") {
		key, v, ok := strings.Cut(part, "=")
		if !ok {
			key, v = "", key
		}
		out[key] = v
	}
	return out
}
