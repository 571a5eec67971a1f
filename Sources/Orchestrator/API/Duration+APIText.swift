extension Duration {
    /// `10s`, `500ms`, `1m30s`; a bare number is nanoseconds, as Fly's clients send it.
    init?(apiText text: String) {
        if let nanoseconds = Int64(text) {
            guard nanoseconds >= 0 else { return nil }
            self = .nanoseconds(nanoseconds)
            return
        }
        var total = Duration.zero
        var rest = Substring(text)
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber || $0 == "." }
            rest = rest[digits.endIndex...]
            let unit = rest.prefix { $0.isLetter }
            rest = rest[unit.endIndex...]
            guard let number = Double(digits), number.isFinite, number < 1e9 else { return nil }
            switch unit {
            case "h": total += .seconds(number * 3_600)
            case "m": total += .seconds(number * 60)
            case "s": total += .seconds(number)
            case "ms": total += .milliseconds(number)
            default: return nil
            }
        }
        self = total
    }
}
