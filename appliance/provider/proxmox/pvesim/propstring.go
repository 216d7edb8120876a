package pvesim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// parsePropertyString reads "key=value,key=value" as PVE::JSONSchema does: one key may be the
// default and stand without its name, aliases are resolved. Errors carry the genuine texts.
func parsePropertyString(format map[string]*property, data string) (map[string]string, error) {
	result, err := splitPropertyString(format, data)
	if err != nil {
		return nil, err
	}
	errs := checkObject(format, result, false)
	if len(errs) == 0 {
		return result, nil
	}
	return nil, &formatError{keys: errs}
}

// formatError is a property string whose keys have errors of their own.
type formatError struct{ keys map[string]string }

func (e *formatError) Error() string { return "format error" }

// named puts the parameter's name before the keys, as the server prints it.
func (e *formatError) named(param string) string {
	text := "format error\n"
	for _, key := range sortedKeys(e.keys) {
		text += param + "." + key + ": " + e.keys[key] + "\n"
	}
	return text
}

func splitPropertyString(format map[string]*property, data string) (map[string]string, error) {
	result := map[string]string{}
	for _, part := range strings.Split(data, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		if err := addPart(format, result, part); err != nil {
			return nil, err
		}
	}
	return result, nil
}

func addPart(format map[string]*property, result map[string]string, part string) error {
	key, value, assigned := strings.Cut(part, "=")
	switch {
	case assigned && (key == "" || value == ""):
		return errors.New("missing key in comma-separated list property\n")
	case !assigned:
		value = part
		key = defaultKey(format)
		if key == "" {
			return errors.New("value without key, but schema does not define a default key\n")
		}
	}
	key, err := resolveAlias(format, result, key)
	if err != nil {
		return err
	}
	if _, twice := result[key]; twice {
		return fmt.Errorf("duplicate key in comma-separated list property: %s\n", key)
	}
	prop := format[key]
	if prop == nil {
		return fmt.Errorf("invalid key in comma-separated list property: %s\n", key)
	}
	if prop.Type == "boolean" {
		value = booleanWord(value)
	}
	result[key] = value
	return nil
}

func resolveAlias(format map[string]*property, result map[string]string, key string) (string, error) {
	prop := format[key]
	if prop == nil || prop.Alias == "" {
		return key, nil
	}
	if prop.KeyAlias != "" {
		if _, twice := result[prop.KeyAlias]; twice {
			return "", fmt.Errorf("key alias '%s' is already defined\n", prop.KeyAlias)
		}
		result[prop.KeyAlias] = key
	}
	return prop.Alias, nil
}

func defaultKey(format map[string]*property) string {
	for key, prop := range format {
		if prop.DefaultKey != 0 {
			return key
		}
	}
	return ""
}

// booleanWord turns the words that property strings accept into 0 and 1; request parameters accept none of them.
func booleanWord(value string) string {
	switch strings.ToLower(value) {
	case "1", "on", "yes", "true":
		return "1"
	case "0", "off", "no", "false":
		return "0"
	}
	return value
}

// printPropertyString writes the leading keys first (values only), then the rest sorted.
func printPropertyString(values map[string]string, first ...string) string {
	var parts []string
	for _, key := range first {
		if v, ok := values[key]; ok {
			parts = append(parts, v)
		}
	}
	for _, key := range sortedKeys(values) {
		if !slices.Contains(first, key) {
			parts = append(parts, key+"="+values[key])
		}
	}
	return strings.Join(parts, ",")
}
