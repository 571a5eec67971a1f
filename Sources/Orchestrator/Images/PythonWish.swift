import MachineAPI

/// Which Python a package is to be hosted with: `3`, `3.11`, `>=3.10,<3.13`.
///
/// Images have the one Python of the host's distribution. So this is a check: what that Python is not is refused before anything is built,
/// in place of a server that runs on another Python than its admin meant.
struct PythonWish: Equatable, Sendable {
    private struct Clause: Equatable {
        /// Empty: equal, as far as is written.
        var comparison: String
        var major: Int
        var minor: Int?
    }

    private let text: String
    private let clauses: [Clause]

    /// - Throws: `bad_python`.
    init(_ given: String) throws(ImageBuildFailure) {
        text = given.trimmingBlanks
        var clauses: [Clause] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            let clause = part.trimmingBlanks
            let comparison = String(clause.prefix { "=<>!~".contains($0) })
            let numbers = clause.dropFirst(comparison.count).trimmingBlanks.split(separator: ".", omittingEmptySubsequences: false)
            let values = numbers.compactMap { $0.utf8.count <= 4 && $0.utf8.allSatisfy { (48...57).contains($0) } ? Int($0) : nil }
            guard ["", "==", "!=", ">=", "<=", ">", "<", "~="].contains(comparison), values.count == numbers.count, (1...2).contains(values.count),
                comparison != "~=" || values.count == 2, clauses.count < 8
            else {
                throw ImageBuildFailure(
                    error: "bad_python", message: "\(given.prefix(64)) is no version of Python.",
                    hint: "Write 3.11, or a range such as '>=3.10,<3.13'; of the third number the host's distribution has the newest.")
            }
            clauses.append(Clause(comparison: comparison, major: values[0], minor: values.count > 1 ? values[1] : nil))
        }
        self.clauses = clauses
    }

    /// - Parameter version: of images, as in `3.11`.
    func allows(_ version: String) -> Bool {
        let parts = version.split(separator: ".").compactMap { Int($0) }
        guard parts.count == 2 else { return false }
        let have = (parts[0], parts[1])
        return clauses.allSatisfy { clause in
            let isEqual = have.0 == clause.major && (clause.minor == nil || have.1 == clause.minor)
            let wanted = (clause.major, clause.minor ?? 0)
            switch clause.comparison {
            case "!=": return !isEqual
            case ">=": return have >= wanted
            case "<": return have < wanted
            case "<=": return have < wanted || isEqual
            // Above `3` is what is above all of it.
            case ">": return have > wanted && !isEqual
            case "~=": return have >= wanted && have.0 == clause.major
            default: return isEqual
            }
        }
    }

    /// - Throws: `python_unavailable`, with what there is.
    func check(_ version: String) throws(ImageBuildFailure) {
        guard !allows(version) else { return }
        throw ImageBuildFailure(
            error: "python_unavailable", message: "Python \(text) is asked for, and images of this host have Python \(version) alone.",
            hint: "It is the Python of the host's distribution. Leave --python out to host it with \(version), or give an image with a Python of its own: --oci.")
    }
}
