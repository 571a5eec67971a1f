import Foundation

/// What may be the name of a principal. Names are compared as Swift compares text, by canonical equivalence, in some places, and byte by
/// byte in others: so of the spellings that are equivalent only one is a name, the one in Normalization Form C (UAX #15).
enum PrincipalName {
    /// UTF-8.
    static let maximumBytes = 128
    /// Of rows of our own.
    private static let reserved = ["berth:", "local:"]

    /// Why it is none; nil where it is one.
    static func problem(_ name: String) -> ProvisioningFailure? {
        guard !name.isEmpty, name.utf8.count <= maximumBytes, name.unicodeScalars.allSatisfy(isPlain) else {
            return failure(
                "the principal is empty, over \(maximumBytes) bytes, or holds blanks or control characters", "for example alice@example.com")
        }
        guard isNormal(name) else {
            return failure("the principal is written with characters that others are equivalent to", "write it in Normalization Form C")
        }
        let lower = name.lowercased()
        guard !reserved.contains(where: { lower.utf8.starts(with: $0.utf8) }) else {
            return failure("principals that begin with berth: or local: are Berth's own", "choose another name")
        }
        return nil
    }

    /// Whether no other spelling is equivalent and as good.
    static func isNormal(_ name: String) -> Bool {
        name.utf8.allSatisfy { $0 < 0x80 } || name.utf8.elementsEqual(name.precomposedStringWithCanonicalMapping.utf8)
    }

    private static func failure(_ message: String, _ hint: String) -> ProvisioningFailure {
        ProvisioningFailure(error: "invalid", message: message, field: "principal", hint: hint)
    }

    /// Neither a blank nor a control, nor a mark that turns the direction of what follows in a log.
    private static func isPlain(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .spaceSeparator, .lineSeparator, .paragraphSeparator, .unassigned, .privateUse, .surrogate: false
        default: true
        }
    }
}
