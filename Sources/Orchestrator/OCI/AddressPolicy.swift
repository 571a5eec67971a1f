import Glibc
import Wire

/// Where a name may lead.
public enum AddressReach: Sendable {
    /// The public internet, without this host.
    case global
    /// Private networks and this host besides: an admin's exception for one name. Never what answers only a link, or a cloud's own machines.
    case privateToo
    /// Anywhere: the configured package index of image builds.
    case any
}

/// Which addresses a machine may be connected to: those of the public internet that are not this host's.
///
/// The special-purpose registries of IPv4 and IPv6 in full, every form in which an IPv4 address hides in an IPv6 one, and
/// the address at which a cloud answers its machines. Judged after resolution, on the address that is then connected to.
enum AddressPolicy {
    static let refusedV4 = [
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16/32",
    ]
    /// Only global unicast is allowed at all, so mapped, translated, compatible, local and multicast forms are out.
    static let allowedV6 = "2000::/3"
    /// Protocol assignments with Teredo, documentation, 6to4, anycast services.
    static let refusedV6 = ["2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20"]

    /// What an exception opens, beside this host's own addresses.
    static let privateBlocks = ["10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "::1/128"]

    private static let exceptions = privateBlocks.compactMap(AddressBlock.init)
    private static let blocksV4 = refusedV4.compactMap(AddressBlock.init)
    private static let globalV6 = AddressBlock(allowedV6)
    private static let blocksV6 = refusedV6.compactMap(AddressBlock.init)

    static func isGlobal(_ address: IPAddress) -> Bool {
        switch address {
        case .v4: !blocksV4.contains { $0.contains(address) }
        case .v6: globalV6?.contains(address) == true && !blocksV6.contains { $0.contains(address) }
        }
    }

    /// - Parameter own: this host's.
    static func isAllowed(_ address: IPAddress, reach: AddressReach, own: Set<IPAddress>) -> Bool {
        switch reach {
        case .any: true
        case .global: isGlobal(address) && !own.contains(address)
        case .privateToo:
            isGlobal(address) || (exceptions.contains { $0.contains(address) } || own.contains(address)) && !isNobodys(address)
        }
    }

    /// What no exception opens: an interface's addresses of its link, which somebody else may have too, and the addresses in private
    /// blocks at which clouds answer their machines (Amazon's, Google's, Scaleway's in IPv6, Alibaba's three), credentials among it.
    static let neverV4AndV6 = [
        "169.254.0.0/16", "fe80::/10", "fd00:ec2::/32", "fd20:ce::/32", "fd00:42::/32", "100.100.100.200/32", "100.100.2.136/32",
        "100.100.2.138/32",
    ]
    private static func isNobodys(_ address: IPAddress) -> Bool { never.contains { $0.contains(address) } }
    private static let never = neverV4AndV6.compactMap(AddressBlock.init)

    /// The addresses of this host's interfaces now, public ones too.
    static func hostAddresses() -> Set<IPAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var addresses = Set<IPAddress>()
        var next = list
        while let entry = next {
            if let address = entry.pointee.ifa_addr.flatMap({ IPAddress(UnsafePointer($0)) }) { addresses.insert(address) }
            next = entry.pointee.ifa_next
        }
        return addresses
    }
}
