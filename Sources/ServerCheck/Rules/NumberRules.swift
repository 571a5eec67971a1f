public import JSONText

/// What happens to numbers on their way: JSON has them of any size, most programs do not.
public enum NumberRules {
    /// Every number of a value as it is written, in order.
    public static func literals(in value: JSONValue) -> [String] {
        switch value {
        case .number(let text): [text]
        case .array(let values): values.flatMap { literals(in: $0) }
        case .object(let object): object.members.flatMap { literals(in: $0.value) }
        case .null, .bool, .string: []
        }
    }

    /// Whole numbers that programs with 64-bit floating point (JavaScript, and so most clients) read as another number.
    public static func unsafe(_ literals: [String]) -> [String] {
        literals.filter { text in
            guard text.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == 0x2D }) else { return false }
            guard let value = Int(text) else { return true }
            return value.magnitude > 1 << 53
        }
    }

    /// Numbers of a call's arguments that the answer repeats in another notation: the server read them as something else.
    public static func altered(_ arguments: [String], answer: String) -> [(sent: String, came: String)] {
        arguments.compactMap { text in
            guard !answer.contains(text), let value = Double(text) else { return nil }
            return notations(value).first { $0 != text && answer.contains($0) }.map { (text, $0) }
        }
    }

    /// As Swift and Python, and as JavaScript, write it. Short ones are found everywhere.
    private static func notations(_ value: Double) -> [String] {
        var all = [value.description]
        if let whole = Int(exactly: value) { all.append(String(whole)) }
        return all.filter { $0.utf8.count >= 4 }
    }
}
