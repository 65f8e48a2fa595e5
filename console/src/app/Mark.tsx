export function Mark() {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d="M7.500 1v14M7.500 3H2v4h5.500M7.500 7.500H12l2-2-2-2H7.500" />
    </svg>
  );
}
