package pvesim

import (
	"net/url"
	"strings"
)

// handler is a method of the API. It runs with the cluster locked, for somebody who is allowed to
// call it, with parameters that fit the schema. Its result becomes "data".
type handler func(*call) (any, error)

type route struct {
	schema *methodSchema
	handle handler
	path   []string
}

// router finds methods by verb and path.
type router struct{ byVerb map[string][]*route }

func newRouter() *router {
	r := &router{byVerb: map[string][]*route{}}
	tables := []map[string]handler{
		accessMethods, clusterMethods, nodeMethods, networkMethods, storageMethods, poolMethods,
		qemuMethods, lxcMethods, firewallMethods(), sdnMethods, taskMethods, consoleMethods, agentMethods,
	}
	for _, table := range tables {
		for name, h := range table {
			r.add(name, h)
		}
	}
	return r
}

// add registers a method; one that the embedded schema does not know is a programming error.
func (r *router) add(name string, h handler) {
	verb, path, _ := strings.Cut(name, " ")
	schema := schemas()[name]
	if schema == nil {
		schema = rootIndex[name]
	}
	if schema == nil {
		panic("pvesim: " + name + " is not in claims.txt")
	}
	r.byVerb[verb] = append(r.byVerb[verb], &route{schema: schema, handle: h, path: segments(path)})
}

// rootIndex is the one method that the method tree does not list.
var rootIndex = map[string]*methodSchema{"GET /": {}}

func segments(path string) []string {
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// find returns the route and the values of its path parameters. Among several that fit, the one
// whose first differing segment is literal wins.
func (r *router) find(verb, path string) (*route, params) {
	var best *route
	var values params
	given := segments(path)
	for _, candidate := range r.byVerb[verb] {
		v, ok := candidate.match(given)
		if ok && (best == nil || moreLiteral(candidate.path, best.path)) {
			best, values = candidate, v
		}
	}
	return best, values
}

// match compares segment by segment. A volume may itself contain slashes and takes all that is left.
func (r *route) match(given []string) (params, bool) {
	values := params{}
	for i, want := range r.path {
		if i >= len(given) {
			return nil, false
		}
		if want == "{volume}" {
			given = append(given[:i:i], strings.Join(given[i:], "/"))
		}
		got, err := url.PathUnescape(given[i])
		switch {
		case err != nil:
			return nil, false
		case want[0] == '{':
			values[want[1:len(want)-1]] = got
		case want != got:
			return nil, false
		}
	}
	return values, len(given) == len(r.path)
}

func moreLiteral(a, b []string) bool {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return a[i][0] != '{'
		}
	}
	return len(a) > len(b)
}
