package socketio

import (
	"net/http"
	"net/url"
	"strings"
)

// SameOrigin is the default of Config.CheckOrigin. A request with an Origin must have the
// Host's. Browsers send none with the GETs of a page to its own origin, so without one the
// next witness that only a browser can set decides: Sec-Fetch-Site must say same-origin, or
// else Referer must have the Host's. A request with no such header does not come from a
// browser's page: it may pass when it carries an Authorization header, which no page can make
// a browser add across origins, and is refused when a cookie would be all that it has.
func SameOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		return sameHost(origin, r.Host)
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site == "same-origin"
	}
	if referer := r.Header.Get("Referer"); referer != "" {
		return sameHost(referer, r.Host)
	}
	return r.Header.Get("Authorization") != ""
}

func sameHost(raw, host string) bool {
	u, err := url.Parse(raw)
	return err == nil && host != "" && strings.EqualFold(u.Host, host)
}
