/// A range of addresses in CIDR form, `10.0.0.0/8` or `2001:db8::/32`; without a length it is the one address (RFC 4632).
public struct AddressBlock: Sendable {
    public let prefix: [UInt8]
    /// How many leading bits of an address must be those of `prefix`.
    public let bits: Int

    /// `nil` for what is neither an address nor a range of them.
    public init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = IPAddress(String(parts[0])) else { return nil }
        prefix = address.bytes
        guard parts.count == 2 else {
            bits = prefix.count * 8
            return
        }
        guard parts[1].utf8.allSatisfy(ASCII.isDigit), let bits = Int(parts[1]), bits <= prefix.count * 8 else { return nil }
        self.bits = bits
    }

    public func contains(_ address: IPAddress) -> Bool {
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
