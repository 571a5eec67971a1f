/// Python packages of an image: from the lock that they were installed by, and from what each installed one says of itself.
enum PythonParts {
    static let lock = String(PythonLayer.packages.dropFirst()) + "/requirements.lock"

    /// Of a lock file: one component each, with the hashes of the files that the lock allows.
    static func locked(_ text: String) -> [BillOfMaterials.Component] {
        var parts: [(name: String, version: String, hashes: [BillOfMaterials.Hash])] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split { $0 == " " || $0 == "\t" || $0 == "\\" }
            if let first = line.first, first != " ", first != "#", first != "-", let word = words.first {
                let pair = word.prefix { $0 != ";" }.split(separator: "=", omittingEmptySubsequences: true)
                let name = (pair.first ?? "").prefix { $0 != "[" }
                guard word.contains("=="), pair.count == 2, PartName.isName(name), !name.contains("/"), PartName.isVersion(pair[1]) else { continue }
                parts.append((String(name), String(pair[1]), []))
            }
            guard !parts.isEmpty else { continue }
            for word in words where word.hasPrefix("--hash=sha256:") {
                if let hash = BillOfMaterials.Hash(.sha256, word.dropFirst(14)) { parts[parts.count - 1].hashes.append(hash) }
            }
        }
        return parts.map { part in
            var component = component(part.name, part.version)
            let hashes = Set(part.hashes).sorted { $0.content < $1.content }
            if hashes.count == 1 {
                component.hashes = hashes
            } else if hashes.count > 1 {
                // Which of the files it was, for which machine, the lock leaves open.
                component.externalReferences = [
                    .init(
                        url: "https://pypi.org/simple/\(Requirement.normalized(part.name))/",
                        comment: "installed from one of the files that have these hashes", hashes: hashes)
                ]
            }
            return component
        }
    }

    /// Of an installed package's `METADATA` (or `PKG-INFO`): headers as of a mail, of which a few count.
    static func installed(_ metadata: String) -> BillOfMaterials.Component? {
        var (name, version): (String?, String?)
        var (expression, license): (String?, String?)
        var classifiers: [String] = []
        for line in metadata.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline) {
            if line.isEmpty { break }
            guard let colon = line.firstIndex(of: ":"), line.first != " ", line.first != "\t" else { continue }
            let value = String(line[line.index(after: colon)...]).trimmingBlanks
            switch line[..<colon].lowercased() {
            case "name": name = name ?? value
            case "version": version = version ?? value
            case "license-expression": expression = value
            case "license": license = value
            case "classifier" where value.hasPrefix("License :: ") && classifiers.count < 16:
                if let last = value.components(separatedBy: " :: ").last { classifiers.append(last) }
            default: break
            }
        }
        guard let name, let version, PartName.isName(name), !name.contains("/"), PartName.isVersion(version) else { return nil }
        var component = component(name, version)
        if let expression, let text = LicenseText.expression(expression) {
            component.licenses = [text]
        } else if let text = license.flatMap(LicenseText.named) {
            component.licenses = [text]
        } else {
            let named = Set(classifiers).sorted().compactMap(LicenseText.named)
            component.licenses = named.isEmpty ? nil : named
        }
        return component
    }

    private static func component(_ name: String, _ version: String) -> BillOfMaterials.Component {
        let purl = PackageURL.pypi(name, version)
        var component = BillOfMaterials.Component(type: .library, ref: purl, name: Requirement.normalized(name), version: version)
        component.purl = purl
        return component
    }
}

extension String {
    fileprivate func components(separatedBy separator: String) -> [String] {
        var (parts, rest): ([String], Substring) = ([], self[...])
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
