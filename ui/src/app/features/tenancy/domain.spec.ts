import { equal, match } from 'node:assert/strict';
import { test } from 'node:test';

import { domainProblem, plainDomain } from './domain';

test('a domain is taken from whatever was pasted', () => {
  equal(plainDomain(' Ada@Example.ORG. '), 'example.org');
  equal(plainDomain('example.org'), 'example.org');
  equal(plainDomain('info@Bücher.example'), 'xn--bcher-kva.example');
  equal(plainDomain('https://example.org'), 'https://example.org');
});

test('domains that fit', () => {
  for (const good of ['example.org', 'a.b.example.co', 'home.arpa', 'bücher.example', 'xn--bcher-kva.example']) {
    equal(domainProblem(good), null, good);
  }
});

test('what is not a domain is refused in words', () => {
  for (const bad of ['', 'localhost', 'a..b', '-a.org', 'a-.org', 'exa mple.org', 'bü cher.example', '10.0.0.1', 'https://example.org', `${'a'.repeat(64)}.org`]) {
    match(domainProblem(bad) ?? '', /Enter|Fill/, bad);
  }
});

test('a domain where everybody has addresses, or that is there already, is refused', () => {
  match(domainProblem('GMail.com') ?? '', /Everybody/);
  match(domainProblem('Example.org', ['example.org']) ?? '', /already/);
});
