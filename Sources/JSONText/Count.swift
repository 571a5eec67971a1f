/// A number and what it counts.
package enum Count {
    /// `1 tool`, `2 tools`: a noun that takes an s.
    package static func text(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
