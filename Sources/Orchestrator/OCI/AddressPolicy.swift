import Glibc

/// An address as the kernel takes it.
enum IPAddress: Hashable, Sendable, CustomStringConvertible {
    case v4([UInt8])
    case v6([UInt8])

    init?(_ text: String) {
        var four = in_addr()
        var six = in6_addr()
        if inet_pton(AF_INET, text, &four) == 1 {
            self = .v4(withUnsafeBytes(of: &four) { Array($0) })
        } else if inet_pton(AF_INET6, text, &six) == 1 {
            self = .v6(withUnsafeBytes(of: &six) { Array($0) })
        } else {
            return nil
        }
    }

    init?(_ address: UnsafePointer<sockaddr>) {
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            self = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { socket in
                .v4(withUnsafeBytes(of: socket.pointee.sin_addr) { Array($0) })
            }
        case AF_INET6:
            self = address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) { socket in
                .v6(withUnsafeBytes(of: socket.pointee.sin6_addr) { Array($0) })
            }
        default:
            return nil
        }
    }

    var bytes: [UInt8] {
        switch self {
        case .v4(let bytes), .v6(let bytes): bytes
        }
    }

    var description: String {
        var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = bytes.count == 4 ? AF_INET : AF_INET6
        guard inet_ntop(family, bytes, &text, socklen_t(text.count)) != nil else { return "?" }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A range of addresses, `10.0.0.0/8`.
struct AddressBlock: Sendable {
    let prefix: [UInt8]
    let bits: Int

    init?(_ text: String) {
        let parts = text.split(separator: "/")
        guard parts.count == 2, let address = IPAddress(String(parts[0])), let bits = Int(parts[1]) else { return nil }
        prefix = address.bytes
        self.bits = bits
    }

    func contains(_ address: IPAddress) -> Bool {
        let bytes = address.bytes
        guard bytes.count == prefix.count else { return false }
        for index in 0..<bytes.count {
            let left = bits - index * 8
            if left <= 0 { return true }
            let mask: UInt8 = left >= 8 ? 0xFF : ~(0xFF >> UInt8(left))
            if (bytes[index] ^ prefix[index]) & mask != 0 { return false }
        }
        return true
    }
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

    private static let blocksV4 = refusedV4.compactMap(AddressBlock.init)
    private static let globalV6 = AddressBlock(allowedV6)
    private static let blocksV6 = refusedV6.compactMap(AddressBlock.init)

    static func isGlobal(_ address: IPAddress) -> Bool {
        switch address {
        case .v4: !blocksV4.contains { $0.contains(address) }
        case .v6: globalV6?.contains(address) == true && !blocksV6.contains { $0.contains(address) }
        }
    }

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
