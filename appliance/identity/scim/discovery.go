package scim

import (
	"net/http"
	"strings"
)

// discover answers the addresses that tell what this server can do (RFC 7644,
// section 4).
func (h *handler) discover(r *http.Request, path string) (reply, error) {
	if r.Method != http.MethodGet {
		return reply{}, errMethod
	}
	if r.URL.Query().Has("filter") {
		return reply{}, &Error{Status: http.StatusForbidden, Detail: "This list cannot be filtered."}
	}
	first, id, nested := strings.Cut(path, "/")
	if first == "ServiceProviderConfig" {
		if nested {
			return reply{}, errMissing
		}
		return reply{status: http.StatusOK, body: h.providerConfig()}, nil
	}
	all := h.resourceTypes()
	if first == "Schemas" {
		all = h.schemas()
	}
	if !nested {
		return reply{status: http.StatusOK, body: Resource{
			"schemas": []any{listMessage}, "totalResults": len(all), "itemsPerPage": len(all), "startIndex": 1, "Resources": all,
		}}, nil
	}
	for _, v := range all {
		if one := v.(Resource); strings.EqualFold(one["id"].(string), id) {
			return reply{status: http.StatusOK, body: one}, nil
		}
	}
	return reply{}, errMissing
}

func (h *handler) meta(kind, path string) Resource {
	return Resource{"resourceType": kind, "location": strings.TrimSuffix(h.URL(), "/") + Prefix + path}
}

func (h *handler) providerConfig() Resource {
	yes, no := Resource{"supported": true}, Resource{"supported": false}
	return Resource{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
		"patch":   yes, "sort": yes, "etag": yes, "changePassword": no,
		"bulk":   Resource{"supported": true, "maxOperations": maxOperations, "maxPayloadSize": maxPayload},
		"filter": Resource{"supported": true, "maxResults": maxResults},
		"pagination": Resource{
			"cursor": true, "index": true, "defaultPaginationMethod": "index",
			"defaultPageSize": defaultCount, "maxPageSize": maxResults,
		},
		"authenticationSchemes": []any{Resource{
			"type": "oauthbearertoken", "name": "SCIM token", "primary": true,
			"description": "A token of the tenant, made in its settings and sent as Authorization: Bearer nsc_….",
			"specUri":     "https://www.rfc-editor.org/info/rfc6750",
		}},
		"meta": h.meta("ServiceProviderConfig", "/ServiceProviderConfig"),
	}
}

func (h *handler) resourceTypes() []any {
	var all []any
	for _, k := range h.kinds {
		one := Resource{
			"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:ResourceType"},
			"id":      k.name, "name": k.name, "endpoint": k.endpoint, "description": k.description, "schema": k.schema.ID,
			"meta": h.meta("ResourceType", "/ResourceTypes/"+k.name),
		}
		if k.extension != nil {
			one["schemaExtensions"] = []any{Resource{"schema": k.extension.ID, "required": false}}
		}
		all = append(all, one)
	}
	return all
}

func (h *handler) schemas() []any {
	var all []any
	for _, s := range []*schema{userSchema, groupSchema, enterpriseSchema} {
		all = append(all, Resource{
			"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:Schema"},
			"id":      s.ID, "name": s.Name, "description": s.Description, "attributes": s.Attributes,
			"meta": h.meta("Schema", "/Schemas/"+s.ID),
		})
	}
	return all
}
