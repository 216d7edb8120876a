package pvesim

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

//go:generate go run ./internal/schemagen

//go:embed schema.json.gz
var packedSchema []byte

// property is the schema of one parameter, or of one key of a property string.
type property struct {
	Type       string               `json:"t"`
	Format     string               `json:"f"`
	Keys       map[string]*property `json:"o"` // format of a "key=value,…" string
	Items      *property            `json:"it"`
	Enum       []string             `json:"e"`
	Min        *float64             `json:"min"`
	Max        *float64             `json:"max"`
	Pattern    string               `json:"re"`
	MaxLength  int                  `json:"maxl"`
	MinLength  int                  `json:"minl"`
	Optional   bool                 `json:"opt"`
	Requires   string               `json:"req"`
	DefaultKey int                  `json:"dk"`
	Alias      string               `json:"al"`
	KeyAlias   string               `json:"ka"`
}

// methodSchema is what is known of one method: its parameters and who may call it.
type methodSchema struct {
	Params map[string]*property `json:"p"`
	Open   bool                 `json:"open"` // unknown parameters are accepted
	Perm   struct {
		User  string          `json:"user"`
		Check json.RawMessage `json:"check"`
	} `json:"perm"`
}

// schemas are the claimed methods by "METHOD /path", unpacked once.
var schemas = sync.OnceValue(func() map[string]*methodSchema {
	z, err := gzip.NewReader(bytes.NewReader(packedSchema))
	if err != nil {
		panic("pvesim: embedded schema: " + err.Error())
	}
	result := map[string]*methodSchema{}
	if err := json.NewDecoder(z).Decode(&result); err != nil {
		panic("pvesim: embedded schema: " + err.Error())
	}
	return result
})

// indexed holds the highest index of the parameters that the schema writes as "name[n]".
var indexed = map[string]int{
	"ide": 3, "sata": 5, "scsi": 30, "virtio": 15, "net": 31, "serial": 3, "parallel": 2,
	"hostpci": 15, "usb": 13, "numa": 7, "ipconfig": 31, "unused": 255, "virtiofs": 9,
	"mp": 255, "dev": 255, "link": 7,
}

var numbered = regexp.MustCompile(`^([a-z]+)(\d+)$`)

// lookup returns the schema of a parameter by the name used in a request, or nil.
func lookup(props map[string]*property, name string) *property {
	if p := props[name]; p != nil {
		return p
	}
	m := numbered.FindStringSubmatch(name)
	if m == nil {
		return nil
	}
	n, err := strconv.Atoi(m[2])
	limit, known := indexed[m[1]]
	if err != nil || !known || n > limit || strconv.Itoa(n) != m[2] {
		return nil
	}
	return props[m[1]+"[n]"]
}

// check verifies the parameters of a request and returns the text of each error by parameter name.
func (m *methodSchema) check(p params) map[string]string {
	return checkObject(m.Params, p, m.Open)
}

func checkObject(props map[string]*property, values map[string]string, open bool) map[string]string {
	errs := map[string]string{}
	for name, value := range values {
		prop := lookup(props, name)
		if prop == nil {
			if !open {
				errs[name] = "property is not defined in schema and the schema does not allow additional properties"
			}
			continue
		}
		if _, given := values[prop.Requires]; prop.Requires != "" && !given {
			errs[prop.Requires] = fmt.Sprintf("missing property - '%s' requires this property", name)
		}
		if text := prop.check(name, value); text != "" {
			errs[name] = text
		}
	}
	for name, prop := range props {
		if _, given := values[name]; !given && prop.mandatory() && !strings.HasSuffix(name, "[n]") {
			errs[name] = "property is missing and it is not optional"
		}
	}
	return errs
}

func (p *property) mandatory() bool { return !p.Optional && p.Alias == "" }

// check returns the first thing wrong with a value, in the order and words of PVE::JSONSchema, or "".
func (p *property) check(name, value string) string {
	if p.Type == "array" {
		return p.checkItems(name, value)
	}
	if !typeFits(p.Type, value) {
		return fmt.Sprintf("type check ('%s') failed - got '%s'", p.Type, value)
	}
	if err := p.checkFormat(value); err != nil {
		var inner *formatError
		if errors.As(err, &inner) {
			return "invalid format - " + inner.named(name)
		}
		return "invalid format - " + err.Error()
	}
	if p.Pattern != "" && !compiled(p.Pattern).MatchString(value) {
		return "value does not match the regex pattern"
	}
	if text := p.checkLength(value); text != "" {
		return text
	}
	return p.checkRange(value)
}

func (p *property) checkItems(name, value string) string {
	if p.Items == nil {
		return ""
	}
	for _, item := range strings.Split(value, listSeparator) {
		if text := p.Items.check(name, item); text != "" {
			return text
		}
	}
	return ""
}

func (p *property) checkFormat(value string) error {
	if p.Keys != nil {
		_, err := parsePropertyString(p.Keys, value)
		return err
	}
	return checkFormat(p.Format, value)
}

func (p *property) checkLength(value string) string {
	n := utf8.RuneCountInString(value)
	if p.MaxLength > 0 && n > p.MaxLength {
		return fmt.Sprintf("value may only be %d characters long", p.MaxLength)
	}
	if n < p.MinLength {
		return fmt.Sprintf("value must be at least %d characters long", p.MinLength)
	}
	return ""
}

func (p *property) checkRange(value string) string {
	if n, err := strconv.ParseFloat(value, 64); err == nil {
		if p.Max != nil && n > *p.Max {
			return fmt.Sprintf("value must have a maximum value of %v", formatNumber(*p.Max))
		}
		if p.Min != nil && n < *p.Min {
			return fmt.Sprintf("value must have a minimum value of %v", formatNumber(*p.Min))
		}
	}
	if len(p.Enum) > 0 && !slices.Contains(p.Enum, value) {
		return fmt.Sprintf("value '%s' does not have a value in the enumeration '%s'", value, strings.Join(p.Enum, ", "))
	}
	return ""
}

func formatNumber(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

var (
	integerShape = regexp.MustCompile(`^[+-]?\d+$`)
	numberShape  = regexp.MustCompile(`^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$`)
	patternCache sync.Map
)

func typeFits(kind, value string) bool {
	switch kind {
	case "integer":
		return integerShape.MatchString(value)
	case "number":
		return numberShape.MatchString(value)
	case "boolean":
		return value == "0" || value == "1"
	}
	return true
}

// compiled returns an anchored regular expression; the generator kept only patterns that compile.
func compiled(pattern string) *regexp.Regexp {
	if re, ok := patternCache.Load(pattern); ok {
		return re.(*regexp.Regexp)
	}
	re := regexp.MustCompile("^(?:" + pattern + ")$")
	patternCache.Store(pattern, re)
	return re
}
