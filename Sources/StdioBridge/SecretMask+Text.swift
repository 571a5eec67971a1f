extension SecretMask {
    /// The shortest beginning of a value that is taken for one.
    private static let shortestBeginning = 4

    /// `text` with every value as `***`. What stands before an ellipsis may be the beginning of a value that was cut off there: it is
    /// hidden too.
    public func masked(_ text: String) -> String {
        guard longest > 0 else { return text }
        let whole = masked(Array(text.utf8))
        let ellipsis = Array("…".utf8)
        var output: [UInt8] = []
        output.reserveCapacity(whole.count)
        for (index, byte) in whole.enumerated() {
            if byte == ellipsis[0], whole[index...].starts(with: ellipsis), let count = beginning(at: output) {
                output.removeLast(count)
                output += [0x2A, 0x2A, 0x2A]
            }
            output.append(byte)
        }
        return String(decoding: output, as: UTF8.self)
    }

    /// - Returns: how many bytes at the end of `text` are the beginning of a value; nil for too few.
    private func beginning(at text: [UInt8]) -> Int? {
        secrets.compactMap { secret in
            let most = min(secret.count - 1, text.count)
            guard most >= Self.shortestBeginning else { return nil }
            return (Self.shortestBeginning...most).last { text.suffix($0).elementsEqual(secret.prefix($0)) }
        }.max()
    }
}
