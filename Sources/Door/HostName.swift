/// A name of a host as DNS and TLS carry it, in the one form in which names are compared here.
public enum HostName {
    /// Lower case, without a dot at the end; `nil` for what is no name of a host, an address literal above all.
    public static func normal(_ text: some StringProtocol) -> String? {
        var bytes = text.utf8.map { (65...90).contains($0) ? $0 + 32 : $0 }
        if bytes.last == UInt8(ascii: ".") { bytes.removeLast() }
        let labels = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard bytes.count <= 253, labels.allSatisfy(isLabel), let last = labels.last else { return nil }
        // No top-level name is a number; `10.0.0.1`, `0x7f.1` and `1` are read as addresses by one library or another.
        let isHex = last.starts(with: Array("0x".utf8)) && last.dropFirst(2).allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
        guard !isHex, !last.allSatisfy({ (48...57).contains($0) }) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func isLabel(_ label: ArraySlice<UInt8>) -> Bool {
        guard (1...63).contains(label.count), label.first != UInt8(ascii: "-"), label.last != UInt8(ascii: "-") else { return false }
        return label.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }
    }
}
