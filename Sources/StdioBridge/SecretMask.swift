import Glibc
import MCP

/// Replaces the values of a child's credentials in what the child writes to its log.
public struct SecretMask: Sendable {
    /// Longest first.
    let secrets: [[UInt8]]
    /// The longest value: a cut closer than this to a text's edge may have halved one.
    let longest: Int

    /// Values shorter than four bytes are left alone: masking every `1` would destroy the log and hide nothing.
    /// Each value is masked in JSON, base64 and a URL too. Of a value with several lines, each line is masked as well, since logs are read by line.
    public init(values: [String] = []) {
        var all = Set<[UInt8]>()
        for value in values {
            let bytes = Array(value.utf8)
            if bytes.count >= 4 { all.formUnion(SecretForms.all(of: value).map { Array($0.utf8) }) }
            for line in bytes.split(whereSeparator: { $0 == 0x0A || $0 == 0x0D }) where line.count >= 8 && line.count < bytes.count {
                all.insert(Array(line))
            }
        }
        secrets = all.sorted { $0.count > $1.count }
        longest = secrets.first?.count ?? 0
    }

    /// `text` with every value as `***`, without its first `skipping` bytes.
    func masked(_ text: [UInt8], skipping: Int = 0) -> [UInt8] {
        if secrets.isEmpty { return skipping == 0 ? text : Array(text.dropFirst(skipping)) }
        var output: [UInt8] = []
        output.reserveCapacity(text.count)
        var index = 0
        while index < text.count {
            if let length = match(text, at: index) {
                if index + length > skipping { output.append(contentsOf: [0x2A, 0x2A, 0x2A]) }
                index += length
            } else {
                if index >= skipping { output.append(text[index]) }
                index += 1
            }
        }
        return output
    }

    /// The first `limit` bytes of `text`, masked. A value that the cut would halve is not there at all.
    func head(of text: some Collection<UInt8>, limit: Int) -> (bytes: [UInt8], isCut: Bool) {
        let window = Array(text.prefix(limit + longest))
        var output = masked(window)
        let isLonger = text.count > window.count
        if isLonger { output.removeLast(min(output.count, longest)) }
        return (Array(output.prefix(limit)), isLonger || output.count > limit)
    }

    private func match(_ text: [UInt8], at index: Int) -> Int? {
        for secret in secrets where secret[0] == text[index] && secret.count <= text.count - index {
            let equal = text.withUnsafeBytes { text in
                secret.withUnsafeBytes { secret in
                    guard let a = text.baseAddress, let b = secret.baseAddress else { return false }
                    return memcmp(a + index, b, secret.count) == 0
                }
            }
            if equal { return secret.count }
        }
        return nil
    }
}
