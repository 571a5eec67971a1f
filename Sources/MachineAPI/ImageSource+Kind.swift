extension ImageSource {
    /// What an image can be made of.
    public enum Kind: String, Sendable, CaseIterable {
        case pypi, folder, binary, layout, npm, oci
    }

    /// What is named; a definition names exactly one.
    public var kinds: [Kind] {
        var kinds: [Kind] = []
        if pypi != nil { kinds.append(.pypi) }
        if upload != nil { kinds.append(.folder) }
        if binary != nil { kinds.append(.binary) }
        if layout != nil { kinds.append(.layout) }
        if npm != nil { kinds.append(.npm) }
        if oci != nil { kinds.append(.oci) }
        return kinds
    }

    /// What it is, where exactly one thing is named.
    public var kind: Kind? { kinds.count == 1 ? kinds.first : nil }

    /// The upload that it is made of, whatever the kind.
    public var uploaded: String? { upload ?? binary ?? layout }

    /// What it is, in a word: the package, or the folder and its digest.
    public var title: String { pypi ?? npm ?? oci ?? uploaded.map { "\(folder ?? "folder") (\($0.prefix(15)))" } ?? "-" }
}
