package saml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/beevik/etree"
	xrv "github.com/mattermost/xml-roundtrip-validator"
)

// commentsAllowed lets wellFormed pass comments.
const commentsAllowed = true

// wellFormed refuses what has no place in a message: document types (and with
// them entities), processing instructions, comments unless allowed, and more
// nesting or elements than an honest one has.
func wellFormed(text []byte, comments bool) error {
	if err := xrv.Validate(bytes.NewReader(text)); err != nil {
		return errors.New("it is not well-formed XML")
	}
	d := xml.NewDecoder(bytes.NewReader(text))
	d.Strict = true
	for depth, elements := 0, 0; ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return errors.New("it is not well-formed XML")
		}
		switch t := token.(type) {
		case xml.StartElement:
			if depth == 0 && elements > 0 {
				return errors.New("it has more than one root")
			}
			depth++
			elements++
		case xml.EndElement:
			depth--
		case xml.Directive:
			return errors.New("it has a document type declaration")
		case xml.ProcInst:
			if t.Target != "xml" || elements > 0 {
				return errors.New("it has a processing instruction")
			}
		case xml.Comment:
			if !comments {
				return errors.New("it has a comment")
			}
		}
		if depth > maxDepth || elements > maxElements {
			return errors.New("it has too many elements")
		}
	}
}

func parse(text []byte) (*etree.Element, error) {
	if err := wellFormed(text, !commentsAllowed); err != nil {
		return nil, err
	}
	doc := etree.NewDocument()
	if err := doc.ReadFromBytes(text); err != nil {
		return nil, err
	}
	if doc.Root() == nil {
		return nil, errors.New("the message is empty")
	}
	return doc.Root(), nil
}

func is(el *etree.Element, ns, tag string) bool { return el.Tag == tag && el.NamespaceURI() == ns }

func children(el *etree.Element, ns, tag string) []*etree.Element {
	return slices.DeleteFunc(el.ChildElements(), func(c *etree.Element) bool { return !is(c, ns, tag) })
}

// checkShape lets only the shapes pass that honest providers send: one
// assertion, in clear or encrypted, directly in the response (or, when root is
// a decrypted assertion, that alone); signatures directly in what they sign,
// over that and nothing else; no id twice.
func checkShape(root *etree.Element, response bool) error {
	if response != is(root, protocolNS, "Response") || !response && !is(root, assertionNS, "Assertion") {
		return errors.New("the message is of another kind")
	}
	s := shape{root: root, ids: map[string]bool{}}
	if err := s.walk(root); err != nil {
		return err
	}
	if s.assertions != 1 {
		return fmt.Errorf("the message has %d assertions", s.assertions)
	}
	return nil
}

type shape struct {
	root       *etree.Element
	ids        map[string]bool
	assertions int
}

func (s *shape) walk(el *etree.Element) error {
	if err := s.ownID(el); err != nil {
		return err
	}
	direct := el == s.root || el.Parent() == s.root
	switch el.Tag { // by name alone: a foreign namespace does not excuse it
	case "Response", "ArtifactResponse":
		if el != s.root {
			return errors.New("a response lies inside the message")
		}
	case "Assertion", "EncryptedAssertion":
		if s.assertions++; !direct || el.NamespaceURI() != assertionNS {
			return errors.New("an assertion lies where none belongs")
		}
	case "Signature":
		if err := checkSignature(el, s.root); err != nil {
			return err
		}
	}
	for _, c := range el.ChildElements() {
		if err := s.walk(c); err != nil {
			return err
		}
	}
	return nil
}

func (s *shape) ownID(el *etree.Element) error {
	for _, a := range el.Attr {
		if !strings.EqualFold(a.Key, "id") || a.Space == "xmlns" {
			continue
		}
		if a.Value == "" || s.ids[a.Value] {
			return errors.New("an id is there twice")
		}
		s.ids[a.Value] = true
	}
	return nil
}

// checkSignature wants an enveloped signature of its parent by approved
// algorithms (SAML 2.0 Core, section 5.4).
func checkSignature(sig, root *etree.Element) error {
	signed := sig.Parent()
	switch {
	case sig.NamespaceURI() != signatureNS,
		signed != root && !(is(signed, assertionNS, "Assertion") && signed.Parent() == root),
		len(children(signed, signatureNS, "Signature")) != 1:
		return errors.New("a signature lies where none belongs")
	}
	for _, c := range sig.ChildElements() {
		if !is(c, signatureNS, "SignedInfo") && !is(c, signatureNS, "SignatureValue") && !is(c, signatureNS, "KeyInfo") {
			return errors.New("a signature carries more than a signature")
		}
	}
	info := children(sig, signatureNS, "SignedInfo")
	if len(info) != 1 || len(children(sig, signatureNS, "SignatureValue")) != 1 {
		return errors.New("a signature is incomplete")
	}
	return checkSignedInfo(info[0], signed.SelectAttrValue("ID", ""))
}

func checkSignedInfo(info *etree.Element, signed string) error {
	references := children(info, signatureNS, "Reference")
	if len(references) != 1 || signed == "" || references[0].SelectAttrValue("URI", "") != "#"+signed {
		return errors.New("a signature is not over what it lies in")
	}
	for _, el := range info.FindElements(".//*") {
		algorithm := el.SelectAttrValue("Algorithm", "")
		allowed, ok := map[string][]string{
			"CanonicalizationMethod": canonicalizations, "SignatureMethod": signatureMethods,
			"DigestMethod": digestMethods, "Transform": transforms,
		}[el.Tag]
		if ok && !slices.Contains(allowed, algorithm) {
			return fmt.Errorf("a signature uses %q", algorithm)
		}
	}
	return nil
}
