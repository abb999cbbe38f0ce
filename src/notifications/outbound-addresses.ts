// Which addresses the service may send to: those of the public internet. Users and operators name the targets, so whatever
// they name could be a neighbour of this server. Fails closed: of IPv6 only what is given out as global counts, less the
// special networks in it, so that no embedding of an IPv4 address and no network yet to be assigned gets through.

import { BlockList, isIP } from 'node:net'

/** The special-purpose networks of IPv4 (IANA's registry), multicast, and what is reserved. */
const SPECIAL_IPV4 = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.31.196.0', 24],
  ['192.52.193.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['192.175.48.0', 24],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const

/** What is given out of IPv6 (RFC 4291): loopback, link-local, unique local, multicast, mapped IPv4, NAT64 lie outside. */
const GLOBAL_IPV6 = ['2000::', 3] as const

/** Special networks within it: protocol assignments with Teredo, documentation, 6to4, AS112. */
const SPECIAL_IPV6 = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
] as const

const special = new BlockList()
for (const [network, prefix] of SPECIAL_IPV4) special.addSubnet(network, prefix, 'ipv4')
for (const [network, prefix] of SPECIAL_IPV6) special.addSubnet(network, prefix, 'ipv6')
const given = new BlockList()
given.addSubnet(...GLOBAL_IPV6, 'ipv6')

/** Whether this address, as the resolver or a URL gives it, is one of the public internet. What is no address is not. */
export function isPublicAddress(address: string): boolean {
  const version = isIP(address)
  if (version === 4) return !special.check(address, 'ipv4')
  // A zone belongs to what is local.
  return version === 6 && !address.includes('%') && given.check(address, 'ipv6') && !special.check(address, 'ipv6')
}

/**
 * Why a URL will never be sent to, as far as it says so by itself: it names a private address, or this machine. The URL
 * parser has made plain addresses of all other spellings (decimal, octal, hexadecimal, full-width digits).
 */
export function findPrivateHost({ hostname }: URL): string | null {
  const host = hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
  if (isIP(host) > 0) return isPublicAddress(host) ? null : host
  return host === 'localhost' || host.endsWith('.localhost') ? host : null
}
