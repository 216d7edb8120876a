package pvesim

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// mayHold are the file names that a content type accepts.
var mayHold = map[string][]string{
	"iso": {".iso", ".img"}, "vztmpl": {".tar.gz", ".tar.xz", ".tar.zst"}, "import": {".ova", ".qcow2", ".raw", ".vmdk"},
}

// target checks where a file is to go and returns the volume that it will become.
func (req *call) target() (*volume, error) {
	content, name := req.p["content"], path.Base(req.p["filename"])
	if err := req.storageExists(); err != nil {
		return nil, err
	}
	st := req.state.Storages[req.p["storage"]]
	if !st.holds(content) {
		return nil, fail("storage '%s' is not configured for content-type '%s'", req.p["storage"], content)
	}
	fits := false
	for _, suffix := range mayHold[content] {
		fits = fits || strings.HasSuffix(name, suffix)
	}
	if !fits {
		return nil, badParam("filename", fmt.Sprintf("wrong file extension for content-type '%s'", content))
	}
	id := req.p["storage"] + ":" + content + "/" + name
	return newFile(id, st.home(req.p["node"]), content, 0, req.now()), nil
}

// uploadFile counts and checks the file of a multipart body; its bytes are not kept.
func uploadFile(req *call) (any, error) {
	v, err := req.target()
	if err != nil {
		return nil, err
	}
	if req.file == nil {
		return nil, badParam("filename", "property is missing and it is not optional")
	}
	v.Size = req.file.size
	if v.Content == "import" {
		v.Virtual = inventedDisk(v.Size)
		if size := qcow2Size(req.file.head); size > 0 {
			v.Virtual = size
		}
	}
	digest, want := req.file.digest(), req.p["checksum"]
	tmp, node := "/var/tmp/pveupload-"+randomHex(16), req.p["node"]
	return req.start(job{kind: "imgcopy", begin: []string{
		"starting file import from: " + tmp, "target node: " + node, "target file: " + req.state.filePath(v),
		fmt.Sprintf("file size is: %d", v.Size),
	}, work: func(log func(string)) error {
		if want != "" && req.p["checksum-algorithm"] == "sha256" && !strings.EqualFold(want, digest) {
			return fmt.Errorf("import failed: checksum mismatch: got '%s' != expect '%s'", digest, want)
		}
		v.CTime = req.now().Unix()
		req.state.addVolume(v)
		log("command: cp -- " + tmp + " " + req.state.filePath(v))
		log("finished file import successfully")
		return nil
	}}), nil
}

// remoteFile is what is known of a file behind a URL.
type remoteFile struct {
	name, mime string
	size       int64
}

var mimeTypes = map[string]string{".iso": "application/x-iso9660-image", ".img": "application/octet-stream", ".zst": "application/zstd"}

// look asks for the file with Config.Fetch, or else invents it: the size follows from the address.
func (c *Cluster) look(ctx context.Context, address string) (remoteFile, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return remoteFile{}, fmt.Errorf("invalid url '%s'", address)
	}
	f := remoteFile{name: path.Base(u.Path), mime: mimeTypes[path.Ext(u.Path)]}
	if f.mime == "" {
		f.mime = "application/octet-stream"
	}
	if c.cfg.Fetch == nil {
		h := fnv.New64a()
		h.Write([]byte(address))
		f.size = 100<<20 + int64(h.Sum64()%(400<<20))
		return f, nil
	}
	return f, c.fetch(ctx, u, &f)
}

const fetchTimeout = 20 * time.Second

func (c *Cluster) fetch(ctx context.Context, u *url.URL, f *remoteFile) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	res, err := c.cfg.Fetch(ctx, u)
	if err != nil {
		return fmt.Errorf("download failed: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("invalid server response: '%s'", res.Status)
	}
	f.size = res.ContentLength
	if kind := res.Header.Get("Content-Type"); kind != "" {
		f.mime = kind
	}
	return nil
}

// outside runs something that may take long without the cluster's lock.
func (req *call) outside(f func() error) error {
	req.mu.Unlock()
	defer req.mu.Lock()
	return f()
}

func queryURL(req *call) (any, error) {
	var f remoteFile
	err := req.outside(func() (err error) {
		f, err = req.look(req.context(), req.p["url"])
		return err
	})
	if err != nil {
		return nil, err
	}
	return map[string]any{"filename": f.name, "mimetype": f.mime, "size": f.size}, nil
}

func downloadURL(req *call) (any, error) {
	v, err := req.target()
	if err != nil {
		return nil, err
	}
	address, file := req.p["url"], req.state.filePath(v)
	if req.state.volume(req.p["node"], v.ID) != nil {
		return nil, fail("refusing to override existing file '%s'", file)
	}
	if u, err := url.Parse(address); err != nil || u.Host == "" {
		return nil, badParam("url", "value does not match the regex pattern")
	}
	return req.start(job{kind: "download", id: path.Base(v.ID), begin: []string{
		"downloading " + address + " to " + file,
	}, work: func(log func(string)) error {
		return req.download(v, address, file, log)
	}}), nil
}

func (req *call) download(v *volume, address, file string, log func(string)) error {
	var f remoteFile
	err := req.outside(func() (err error) {
		f, err = req.look(req.ctx, address)
		return err
	})
	if err != nil {
		return err
	}
	u, _ := url.Parse(address)
	now := req.now()
	v.Size, v.CTime = f.size, now.Unix()
	if v.Content == "import" {
		v.Virtual = inventedDisk(f.size)
	}
	req.state.addVolume(v)
	for _, line := range []string{
		"--" + now.UTC().Format("2006-01-02 15:04:05") + "--  " + address,
		"Connecting to " + u.Host + "... connected.",
		"HTTP request sent, awaiting response... 200 OK",
		fmt.Sprintf("Length: %d (%s) [%s]", f.size, readableSize(f.size), f.mime),
		"Saving to: '" + file + ".tmp_dwnl'",
		"     0K                                    100% 1.05G=0.4s",
		now.UTC().Format("2006-01-02 15:04:05") + " - '" + file + "' saved",
		"download of '" + address + "' to '" + file + "' finished",
	} {
		log(line)
	}
	return nil
}
