import { describe, expect, it } from 'vitest'
import { findPrivateHost, isPublicAddress } from './outbound-addresses.ts'

describe('an address of the public internet', () => {
  it.each([
    '8.8.8.8',
    '1.1.1.1',
    '100.63.255.255',
    '100.128.0.1',
    '172.15.0.1',
    '172.32.0.1',
    '192.0.1.1',
    '223.255.255.1',
  ])('is %s', (address) => expect(isPublicAddress(address)).toBe(true))

  it.each(['2606:4700:4700::1111', '2001:4860:4860::8888', '2a00:1450::1', '2001:200::1'])('is %s', (address) =>
    expect(isPublicAddress(address)).toBe(true),
  )

  it.each([
    ['this network', '0.0.0.0'],
    ['this network', '0.1.2.3'],
    ['private', '10.1.2.3'],
    ['private', '172.16.0.1'],
    ['private', '172.31.255.255'],
    ['private', '192.168.1.1'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['carrier-grade NAT', '100.127.255.255'],
    ['loopback', '127.0.0.1'],
    ['loopback', '127.255.255.254'],
    ['link-local, the metadata of clouds', '169.254.169.254'],
    ['protocol assignments', '192.0.0.170'],
    ['documentation', '192.0.2.1'],
    ['documentation', '198.51.100.1'],
    ['documentation', '203.0.113.1'],
    ['6to4 relays', '192.88.99.1'],
    ['AS112', '192.175.48.1'],
    ['benchmarks', '198.19.0.1'],
    ['multicast', '224.0.0.1'],
    ['multicast', '239.255.255.255'],
    ['reserved', '240.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['unspecified', '::'],
    ['loopback', '::1'],
    ['mapped IPv4', '::ffff:127.0.0.1'],
    ['mapped IPv4, in hexadecimal', '::ffff:a9fe:a9fe'],
    ['mapped IPv4, even a public one', '::ffff:8.8.8.8'],
    ['compatible IPv4', '::7f00:1'],
    ['translated IPv4', '::ffff:0:127.0.0.1'],
    ['NAT64', '64:ff9b::7f00:1'],
    ['local NAT64', '64:ff9b:1::7f00:1'],
    ['discard', '100::1'],
    ['Teredo', '2001:0:7f00::1'],
    ['ORCHID', '2001:20::1'],
    ['documentation', '2001:db8::1'],
    ['documentation', '3fff::1'],
    ['6to4 of loopback', '2002:7f00:1::1'],
    ['AS112', '2620:4f:8000::1'],
    ['segment routing', '5f00::1'],
    ['not given out', '4000::1'],
    ['unique local', 'fc00::1'],
    ['unique local, the metadata of a cloud', 'fd00:ec2::254'],
    ['link-local', 'fe80::1'],
    ['link-local with a zone', 'fe80::1%eth0'],
    ['global with a zone', '2a00::1%eth0'],
    ['site-local', 'fec0::1'],
    ['multicast', 'ff02::1'],
    ['no address', 'example.com'],
    ['no address', ''],
    ['no address', '127.1'],
    ['no address', '2130706433'],
  ])('is not: %s, %s', (_, address) => expect(isPublicAddress(address)).toBe(false))
})

describe('a URL that names a private address', () => {
  it.each([
    ['as it is', 'http://127.0.0.1:8080/hook', '127.0.0.1'],
    ['decimal', 'http://2130706433/', '127.0.0.1'],
    ['octal', 'http://0177.0.0.1/', '127.0.0.1'],
    ['hexadecimal', 'http://0x7f.0x0.0x0.0x1/', '127.0.0.1'],
    ['one hexadecimal number', 'http://0xa9fea9fe/', '169.254.169.254'],
    ['with parts left out', 'http://127.1/', '127.0.0.1'],
    ['zero', 'http://0/', '0.0.0.0'],
    ['with a dot at its end', 'http://127.0.0.1./', '127.0.0.1'],
    ['in full-width digits', 'http://１２７.０.０.１/', '127.0.0.1'],
    ['in circled digits', 'http://①②⑦.0.0.1/', '127.0.0.1'],
    ['with ideographic dots', 'http://127。0。0。1/', '127.0.0.1'],
    ['percent-encoded', 'http://%31%32%37.0.0.1/', '127.0.0.1'],
    ['IPv6', 'http://[::1]/', '::1'],
    ['mapped', 'https://[::ffff:169.254.169.254]/', '::ffff:a9fe:a9fe'],
    ['this machine by name', 'https://localhost:9200/', 'localhost'],
    ['this machine by name with a dot', 'https://LOCALHOST./', 'localhost'],
    ['below localhost', 'https://a.localhost/', 'a.localhost'],
  ])('is known by itself: %s', (_, url, host) => expect(findPrivateHost(new URL(url))).toBe(host))

  it.each([
    'https://example.com/',
    'http://8.8.8.8/',
    'https://[2606:4700:4700::1111]/',
    'https://localhost.example.com/',
  ])('is not %s', (url) => expect(findPrivateHost(new URL(url))).toBeNull())
})
