package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"nimbus/appliance"
	"nimbus/appliance/actor"
	"nimbus/appliance/fault"
)

// errNotRunning means that no appliance runs on the data directory.
var errNotRunning = errors.New("no appliance runs on this data directory")

// ask sends a request to the appliance that runs on the data directory, as the
// console. It returns errNotRunning when there is none, and the fault that it
// answered. The caller closes the body.
func ask(ctx context.Context, cfg appliance.Config, method, path string, body any) (io.ReadCloser, error) {
	var payload io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		payload = bytes.NewReader(raw)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://nimbus"+path, payload)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	if account := actor.SudoUser(); account != "" {
		r.Header.Set(appliance.SudoHeader, account)
	}
	answer, err := localClient(cfg.DataDir).Do(r)
	switch {
	case errors.Is(err, os.ErrPermission):
		return nil, fault.Wrap(fault.Forbidden, err, "Only root and the user of the service can ask the appliance. Try it with sudo")
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, errNotRunning
	case err != nil:
		return nil, err
	case answer.StatusCode >= http.StatusBadRequest:
		defer answer.Body.Close()
		return nil, answered(answer)
	}
	return answer.Body, nil
}

func localClient(dataDir string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", appliance.LocalSocket(dataDir))
		},
		DisableKeepAlives: true,
	}}
}

// answered is the fault in a problem document.
func answered(answer *http.Response) error {
	var p struct {
		Kind   fault.Kind `json:"code"`
		Detail string     `json:"detail"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&p); err != nil || p.Detail == "" {
		return fmt.Errorf("the appliance answered %s", answer.Status)
	}
	return fault.New(p.Kind, "%s", p.Detail)
}

// askInto is ask for an answer in JSON.
func askInto(ctx context.Context, cfg appliance.Config, method, path string, body, into any) error {
	answer, err := ask(ctx, cfg, method, path, body)
	if err != nil {
		return err
	}
	defer answer.Close()
	if into == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(into)
}
